# KernelNames.cmake: the target kernel_names, which fails when the words of a name in the table do not fit together
# (cmake/check_names.c). No kernel is compiled before it.
add_executable(check_names ${PROJECT_SOURCE_DIR}/cmake/check_names.c ${PROJECT_SOURCE_DIR}/harness/problem/layout_name.c
    ${PROJECT_SOURCE_DIR}/reference/contract.c ${PROJECT_SOURCE_DIR}/reference/dtype.c)
target_link_libraries(check_names PRIVATE project_options)
set(kernel_names_file ${PROJECT_BINARY_DIR}/generated/kernel_names.txt)
file(CONFIGURE OUTPUT ${kernel_names_file} CONTENT "${kernel_name_lines}" @ONLY)
set(kernel_names_checked ${PROJECT_BINARY_DIR}/generated/kernel_names.checked)
add_custom_command(OUTPUT ${kernel_names_checked}
    COMMAND check_names ${kernel_names_file}
    COMMAND ${CMAKE_COMMAND} -E touch ${kernel_names_checked}
    DEPENDS check_names ${kernel_names_file}
    COMMENT "checking the names of variants"
    VERBATIM)
add_custom_target(kernel_names DEPENDS ${kernel_names_checked})
foreach(target IN ITEMS kernels kernels_fast kernels_checked fatbins)
    if(TARGET ${target})
        add_dependencies(${target} kernel_names)
    endif()
endforeach()
