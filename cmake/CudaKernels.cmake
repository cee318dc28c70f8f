# CudaKernels.cmake: the .cu files of the table. Host builds for the executor (harness/device/simt/), with any C++ compiler:
# kernels_fast, and kernels_checked, instrumented for harness/device/simt/checker.c. With NF4BENCH_CUDA also a fatbin for
# each file and for harness/device/cuda/support.cu, of every listed architecture from what its rows ask for, in
# <build>/fatbin/, and the objects cuda_images, a table of them for the program (harness/problem/image.h).
set(NF4BENCH_CUDA_ARCHITECTURES 75 80 86 89 90 90a 100 120 CACHE STRING
    "compute capabilities to compile device code for; those that nvcc does not know are left out")

list(TRANSFORM NF4BENCH_CUDA_SOURCES PREPEND ${kernel_dir}/ OUTPUT_VARIABLE cuda_files)
set_source_files_properties(${cuda_files} PROPERTIES LANGUAGE CXX)

set(CMAKE_REQUIRED_FLAGS -mssse3)
check_c_source_compiles("#include <tmmintrin.h>
int main(void) { return _mm_cvtsi128_si32(_mm_shuffle_epi8(_mm_setzero_si128(), _mm_setzero_si128())); }" NF4BENCH_HAVE_SSSE3)
unset(CMAKE_REQUIRED_FLAGS)

# add_host_build(target build [option...]): `files` are compiled as SIMT_BUILD=<build>.
function(add_host_build target build files)
    add_library(${target} OBJECT ${files})
    target_link_libraries(${target} PRIVATE project_options)
    target_compile_definitions(${target} PRIVATE SIMT_BUILD=${build})
    # Every x86-64 CPU of the last fifteen years has SSSE3, whose shuffle is prmt (kernels/device/cuda.h).
    target_compile_options(${target} PRIVATE -x c++ -g1 -fno-exceptions -fno-rtti ${ARGN}
                           $<$<BOOL:${NF4BENCH_HAVE_SSSE3}>:-mssse3>)
    # For the library of kernels as well; the position of the running thread is the program's in either, and reached as
    # from the program's own code, without a call.
    # __FILE__ without the folder of the source tree: the same source is the same code wherever it lies.
    target_compile_options(${target} PRIVATE -ftls-model=initial-exec -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
    set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON POSITION_INDEPENDENT_CODE ON)
endfunction()

add_host_build(kernels_fast fast "${cuda_files}")
if(NF4BENCH_SIMT_CHECKED)
    set(checked_options -O1 -fsanitize=thread,alignment,bounds -include ${PROJECT_SOURCE_DIR}/harness/device/simt/checked.h)
    if(CMAKE_CXX_COMPILER_ID MATCHES Clang) # which else leaves a read out when a write to the same place follows
        list(APPEND checked_options "SHELL:-mllvm -tsan-instrument-read-before-write")
    endif()
    add_host_build(kernels_checked checked "${cuda_files}" ${checked_options})
endif()

# add_images(out sources files): sets `out` to a C source that embeds `files` under the names `sources`.
function(add_images out sources files)
    set(c ${PROJECT_BINARY_DIR}/generated/${out}.c)
    list(JOIN sources " " source_list)
    list(JOIN files " " file_list)
    add_custom_command(OUTPUT ${c}
        COMMAND ${CMAKE_COMMAND} -DOUT=${c} "-DSOURCES=${source_list}" "-DFILES=${file_list}"
                -P ${PROJECT_SOURCE_DIR}/cmake/EmbedImages.cmake
        DEPENDS ${files} ${PROJECT_SOURCE_DIR}/cmake/EmbedImages.cmake
        VERBATIM)
    set_source_files_properties(${c} PROPERTIES OBJECT_DEPENDS "${files}")
    set(${out} ${c} PARENT_SCOPE)
endfunction()

if(NF4BENCH_CUDA)
    find_program(NF4BENCH_NVCC nvcc PATHS /usr/local/cuda/bin REQUIRED)
    execute_process(COMMAND ${NF4BENCH_NVCC} --list-gpu-arch OUTPUT_VARIABLE known COMMAND_ERROR_IS_FATAL ANY)
    set(architectures)
    foreach(arch IN LISTS NF4BENCH_CUDA_ARCHITECTURES)
        string(REGEX REPLACE "[a-z]" "" number ${arch}) # the list has no 90a
        if(known MATCHES "compute_${number}[\n]")
            list(APPEND architectures ${arch})
        else()
            message(STATUS "nvcc does not know ${arch}: no device code for it, but PTX of the last that it knows")
        endif()
    endforeach()
    set(fatbins)
    set(cuda_min_sm_support.cu 75)
    foreach(source IN LISTS NF4BENCH_CUDA_SOURCES ITEMS support.cu)
        set(source_path ${kernel_dir}/${source})
        if(source STREQUAL support.cu)
            set(source_path ${PROJECT_SOURCE_DIR}/harness/device/cuda/support.cu)
        endif()
        set(gencode)
        foreach(arch IN LISTS architectures)
            string(REGEX REPLACE "[a-z]" "" number ${arch})
            if(number GREATER_EQUAL cuda_min_sm_${source})
                list(APPEND gencode -gencode arch=compute_${arch},code=sm_${arch})
            endif()
        endforeach()
        # PTX for GPUs that come after the list.
        list(APPEND gencode -gencode arch=compute_${number},code=compute_${number})
        string(REGEX REPLACE "[/.]" "_" id ${source})
        set(out ${PROJECT_BINARY_DIR}/fatbin/${id}.fatbin)
        add_custom_command(OUTPUT ${out}
            COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/fatbin
            # Not compressed: the hash of a kernel's machine code is taken of what is embedded (harness/problem/image.h).
            COMMAND ${CMAKE_COMMAND} -DNVCC=${NF4BENCH_NVCC} -DSOURCE=${source} -DOUT=${out} ${cuda_limits_${source}}
                    -P ${PROJECT_SOURCE_DIR}/cmake/CompileDevice.cmake --
                    -fatbin --no-compress -std=c++17 -fmad=false -O3 -diag-suppress 177
                    -I${PROJECT_SOURCE_DIR} ${gencode} -MD -MF ${out}.d ${source_path}
            DEPENDS ${source_path} ${PROJECT_SOURCE_DIR}/cmake/CompileDevice.cmake
            DEPFILE ${out}.d
            COMMENT "nvcc ${source}"
            VERBATIM)
        list(APPEND fatbins ${out})
    endforeach()
    add_custom_target(fatbins ALL DEPENDS ${fatbins})
    add_images(NF4BENCH_CUDA_IMAGES "${NF4BENCH_CUDA_SOURCES};support.cu" "${fatbins}")
    add_library(cuda_images OBJECT ${NF4BENCH_CUDA_IMAGES})
    target_link_libraries(cuda_images PRIVATE project_options)
    set_target_properties(cuda_images PROPERTIES POSITION_INDEPENDENT_CODE ON)
endif()
