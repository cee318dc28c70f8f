# Install.cmake: `cmake --install build/release --prefix PREFIX`: the program, the suites, and what a library of kernels
# out of tree is built with: headers in include/nf4bench/ and the CMake package nf4bench.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS nf4bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY suites/ DESTINATION ${CMAKE_INSTALL_DATADIR}/nf4bench/suites FILES_MATCHING PATTERN "*.yaml")

# The headers include each other as in the source tree, by paths from include/nf4bench/.
set(NF4BENCH_INCLUDE_DIR ${CMAKE_INSTALL_INCLUDEDIR}/nf4bench)
install(FILES kernels/kernel.h kernels/layouts.h kernels/plugin.h DESTINATION ${NF4BENCH_INCLUDE_DIR}/kernels)
install(DIRECTORY kernels/device/ DESTINATION ${NF4BENCH_INCLUDE_DIR}/kernels/device FILES_MATCHING PATTERN "*.h")
install(FILES harness/device/simt/checked.h DESTINATION ${NF4BENCH_INCLUDE_DIR}/harness/device/simt)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/plugin.h @ONLY CONTENT
"/* What a library of kernels includes. */
#include \"kernels/plugin.h\"
")
install(FILES ${PROJECT_BINARY_DIR}/generated/plugin.h DESTINATION ${NF4BENCH_INCLUDE_DIR})

set(NF4BENCH_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/nf4bench)
set(NF4BENCH_PROGRAM ${CMAKE_INSTALL_BINDIR}/nf4bench)
configure_package_config_file(cmake/nf4benchConfig.cmake.in ${PROJECT_BINARY_DIR}/generated/nf4benchConfig.cmake
    INSTALL_DESTINATION ${NF4BENCH_PACKAGE_DIR} PATH_VARS NF4BENCH_INCLUDE_DIR NF4BENCH_PROGRAM)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/nf4benchConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/generated/nf4benchConfig.cmake
              ${PROJECT_BINARY_DIR}/generated/nf4benchConfigVersion.cmake DESTINATION ${NF4BENCH_PACKAGE_DIR})
