# BuildInfo.cmake: generated/build_info.h, the facts about this build that only the build system knows.
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type_upper)
string(STRIP "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${build_type_upper}} -ffp-contract=off" build_flags)
# What another revision's kernels are configured with, to be built as these are (harness/gate/baseline.c). Flags also when they
# are empty: CMake would else take those of the environment.
set(configure_options "")
foreach(name IN ITEMS CMAKE_C_COMPILER CMAKE_CXX_COMPILER CMAKE_BUILD_TYPE CMAKE_C_FLAGS CMAKE_CXX_FLAGS
                      CMAKE_C_FLAGS_${build_type_upper} CMAKE_CXX_FLAGS_${build_type_upper} CMAKE_TOOLCHAIN_FILE
                      CMAKE_PREFIX_PATH NF4BENCH_SANITIZE NF4BENCH_CUDA NF4BENCH_CUDA_ARCHITECTURES NF4BENCH_NVCC)
    if(NOT "${${name}}" STREQUAL "" OR name MATCHES "FLAGS")
        string(REGEX REPLACE "([\\\\\"])" "\\\\\\1" value "${${name}}")
        string(APPEND configure_options "\"-D${name}=${value}\", ")
    endif()
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/cmake/build_info.h.in ${PROJECT_BINARY_DIR}/generated/build_info.h @ONLY)

# The git revision is looked up when configuring, with a warning where there is none, and again at build time.
function(check_git_revision)
    set(SOURCE ${PROJECT_SOURCE_DIR})
    set(OUT ${PROJECT_BINARY_DIR}/generated/git_revision.h)
    include(${PROJECT_SOURCE_DIR}/cmake/GitRevision.cmake)
endfunction()
check_git_revision()
add_custom_target(git_revision
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUT=${PROJECT_BINARY_DIR}/generated/git_revision.h
            -P ${PROJECT_SOURCE_DIR}/cmake/GitRevision.cmake
    BYPRODUCTS ${PROJECT_BINARY_DIR}/generated/git_revision.h
    VERBATIM)
foreach(part IN ITEMS run cli) # that include it
    add_dependencies(${part} git_revision)
endforeach()
