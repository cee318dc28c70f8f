# KernelLibrary.cmake: nf4bench_kernels, the kernels of the table as a library that the program can load beside its own
# (kernels/library.c): libnf4bench_kernels.so, of the same object files as the program's. `nf4bench` of another revision
# builds this target by its name (harness/gate/baseline.h).
set(library_map ${PROJECT_SOURCE_DIR}/kernels/library.map)
add_library(nf4bench_kernels MODULE kernels/library.c
    $<TARGET_OBJECTS:kernels> $<TARGET_OBJECTS:kernel_hashes> $<TARGET_OBJECTS:kernels_fast>
    $<$<BOOL:${NF4BENCH_SIMT_CHECKED}>:$<TARGET_OBJECTS:kernels_checked>>)
target_link_libraries(nf4bench_kernels PRIVATE project_options)
target_link_options(nf4bench_kernels PRIVATE "-Wl,--version-script=${library_map}")
set_target_properties(nf4bench_kernels PROPERTIES LINK_DEPENDS ${library_map} LINKER_LANGUAGE C)
if(NF4BENCH_CUDA)
    target_link_libraries(nf4bench_kernels PRIVATE $<TARGET_OBJECTS:cuda_images>)
endif()
