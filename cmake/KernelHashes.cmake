# KernelHashes.cmake: the objects kernel_hashes, which say what the variants were built from (kernels/hashes.h).
if(NOT CMAKE_OBJCOPY)
    message(FATAL_ERROR "objcopy is needed (binutils)")
endif()
set(kernel_objects ${PROJECT_BINARY_DIR}/generated/kernel_objects.txt)
file(GENERATE OUTPUT ${kernel_objects}
     CONTENT "$<JOIN:$<TARGET_OBJECTS:kernels>,\n>\n$<JOIN:$<TARGET_OBJECTS:kernels_fast>,\n>\n")
set(kernel_hashes ${PROJECT_BINARY_DIR}/generated/kernel_hashes.c)
list(TRANSFORM kernel_listed_sources PREPEND ${kernel_dir}/ OUTPUT_VARIABLE kernel_source_files)
list(JOIN kernel_listed_sources " " source_list)
add_custom_command(OUTPUT ${kernel_hashes}
    COMMAND ${CMAKE_COMMAND} -DKERNELS=${kernel_dir} "-DSOURCES=${source_list}" -DOBJECTS=${kernel_objects} -DOBJCOPY=${CMAKE_OBJCOPY}
            -DSCRATCH=${kernel_hashes}.o -DOUT=${kernel_hashes} -P ${PROJECT_SOURCE_DIR}/cmake/HashKernels.cmake
    # The sources too: an edit may leave an object file as it is, and of those not built there is none.
    DEPENDS $<TARGET_OBJECTS:kernels> $<TARGET_OBJECTS:kernels_fast> ${kernel_objects} ${kernel_source_files}
            ${PROJECT_SOURCE_DIR}/cmake/HashKernels.cmake
    COMMENT "hashing kernels"
    VERBATIM)
add_library(kernel_hashes OBJECT ${kernel_hashes})
target_link_libraries(kernel_hashes PRIVATE project_options)
set_target_properties(kernel_hashes PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
