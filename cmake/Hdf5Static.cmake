# Hdf5Static.cmake: the target hdf5_static. CMake's FindHDF5 misses the libraries that a static HDF5 needs, so
# they are named here; the shared library serves where no static one is installed.
find_path(HDF5_INCLUDE hdf5.h PATH_SUFFIXES hdf5/serial REQUIRED)
find_library(HDF5_LIBRARY NAMES libhdf5.a hdf5 PATH_SUFFIXES hdf5/serial REQUIRED)
add_library(hdf5_static INTERFACE)
target_include_directories(hdf5_static SYSTEM INTERFACE ${HDF5_INCLUDE})
target_link_libraries(hdf5_static INTERFACE ${HDF5_LIBRARY})
if(HDF5_LIBRARY MATCHES "\\.a$")
    foreach(name sz aec z)
        find_library(HDF5_NEEDS_${name} NAMES lib${name}.a ${name} REQUIRED)
        target_link_libraries(hdf5_static INTERFACE ${HDF5_NEEDS_${name}})
    endforeach()
    target_link_libraries(hdf5_static INTERFACE ${CMAKE_DL_LIBS} m pthread)
endif()
