# KernelTable.cmake: the table of variants, from the rows of kernels/<folder>/rows.inc, the words of reference/contract.inc
# and the arches of kernels/arch.inc. A row is a call:
#
#   kernels(SOURCE [M_MAX m] [K_MULTIPLE k] [REGISTERS r] [STACK s] NAME...)
#
#   SOURCE        a .c or .cu file of the folder; all its variants are of one arch
#   M_MAX         the largest m that its variants take; left out: any
#   K_MULTIPLE    k must be a multiple of it; left out: any
#   REGISTERS     .cu only, required: registers of a thread that the compiler may need on any architecture. More of them let
#                 fewer blocks run at once than the file's header promises (cmake/CompileDevice.cmake)
#   STACK         bytes of local memory of a thread, likewise: spills, and arrays whose indices are not known at compile
#                 time; left out: 0, as for all that are to be fast
#   NAME          <contract>__<arch>[_<knobs>]; {a,b} stands for a and for b, as in a shell. The contract is the words of
#                 reference/contract.inc. The knobs repacked, gptq, gptqv2, awq, awqgemv and marlin name the layout of W
#                 that the variant takes (kernels/kernel.h); without one of them it takes W by rows
#
# Sets kernel_listed_sources (relative to kernels/), NF4BENCH_KERNEL_SOURCES (the C files of the arches that are built),
# NF4BENCH_CUDA_SOURCES and, for each of these, cuda_min_sm_<source> and cuda_limits_<source>. Writes
#
#   generated/kernel_table.inc     kernel_table[], for harness/problem/variant.c and kernels/library.c
#   generated/rows/<source>.h      the rows of one file, which its compiler includes first (kernels/row.h)
#
# A word that no contract has, a missing file, a file without a row, a name or a source that is listed twice and a source of
# two arches are errors. Editing a table reruns CMake.
set(kernel_dir ${PROJECT_SOURCE_DIR}/kernels)
set(kernel_table ${PROJECT_BINARY_DIR}/generated/kernel_table.inc)
# In the order of the table.
set(kernel_folders nf4_dequant nf4_gemm nf4_gemmdx nf4_repack int4_dequant int4_gemm formats_dequant formats_gemm
    formats_gemmdx)
list(TRANSFORM kernel_folders REPLACE "(.+)" "${kernel_dir}/\\1/rows.inc" OUTPUT_VARIABLE kernel_row_files)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kernel_dir}/arch.inc ${kernel_row_files}
             ${PROJECT_SOURCE_DIR}/reference/contract.inc)

# Instrumented code next to AddressSanitizer's would be seen by both: sanitizer builds have no checked kernels.
set(NF4BENCH_SIMT_CHECKED 1)
if(NF4BENCH_SANITIZE)
    set(NF4BENCH_SIMT_CHECKED 0)
endif()

file(STRINGS ${kernel_dir}/arch.inc arch_rows REGEX "^KERNEL_ARCH\\(")
foreach(row IN LISTS arch_rows)
    if(NOT row MATCHES "^KERNEL_ARCH\\(([a-z0-9]+), ([A-Z]+), ([A-Z0-9_ |]+), \"([^\"]*)\"\\)$")
        message(FATAL_ERROR "kernels/arch.inc: a row must stand on one line: ${row}")
    endif()
    set(arch_backend_${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
    set(arch_needs_${CMAKE_MATCH_1} ${CMAKE_MATCH_3})
    separate_arguments(arch_flags_${CMAKE_MATCH_1} UNIX_COMMAND "${CMAKE_MATCH_4}")
    if(CMAKE_MATCH_2 STREQUAL CUDA)
        continue()
    endif()
    # An arch is built when the compiler takes its flags; its variants are listed either way.
    set(CMAKE_REQUIRED_FLAGS "${CMAKE_MATCH_4}")
    check_c_source_compiles("int main(void) { return 0; }" NF4BENCH_HAVE_ARCH_${CMAKE_MATCH_1})
    unset(CMAKE_REQUIRED_FLAGS)
endforeach()

# contract_fields, in the order of a name; contract_words_<field>, a pattern; contract_optional_<field> where a name may
# leave it out.
file(STRINGS ${PROJECT_SOURCE_DIR}/reference/contract.inc contract_rows REGEX "^CONTRACT_WORD\\(")
foreach(row IN LISTS contract_rows)
    string(REGEX MATCH "^CONTRACT_WORD\\(([a-z]+), [A-Z0-9_]+, \"([a-z0-9]*)\"" matched "${row}")
    if(NOT CMAKE_MATCH_1 IN_LIST contract_fields)
        list(APPEND contract_fields ${CMAKE_MATCH_1})
    endif()
    if(CMAKE_MATCH_2 STREQUAL "")
        set(contract_optional_${CMAKE_MATCH_1} 1)
    elseif(DEFINED contract_words_${CMAKE_MATCH_1})
        string(APPEND contract_words_${CMAKE_MATCH_1} "|${CMAKE_MATCH_2}")
    else()
        set(contract_words_${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
    endif()
endforeach()

# expand_braces(out text): the list of what a shell makes of a{b,c}d.
function(expand_braces out text)
    set(expanded "${text}")
    if(text MATCHES "^([^{]*){([^{}]*)}(.*)$")
        set(before "${CMAKE_MATCH_1}")
        set(after "${CMAKE_MATCH_3}")
        string(REPLACE "," ";" words "${CMAKE_MATCH_2}")
        set(expanded)
        foreach(word IN LISTS words)
            expand_braces(names "${before}${word}${after}")
            list(APPEND expanded ${names})
        endforeach()
    endif()
    set(${out} ${expanded} PARENT_SCOPE)
endfunction()

# parse_name(name): sets op and arch. cmake/check_names.c checks numbers, and whether the words fit together.
function(parse_name name)
    if(NOT name MATCHES "^([a-z0-9_]+)__([a-z0-9]+)(_[a-z0-9]+)*$")
        message(FATAL_ERROR "${row}: ${name} is not <contract>__<arch>[_<knobs>] of a-z, 0-9 and _")
    endif()
    set(rest "_${CMAKE_MATCH_1}")
    set(arch "${CMAKE_MATCH_2}")
    foreach(field IN LISTS contract_fields)
        string(APPEND grammar " (${contract_words_${field}})")
        set(number "")
        if(field STREQUAL accumulation)
            set(number "[0-9wx]*")
        endif()
        if(rest MATCHES "^_(${contract_words_${field}})${number}(_.*)?$")
            set(found_${field} ${CMAKE_MATCH_1})
            set(rest "${CMAKE_MATCH_2}")
        elseif(NOT contract_optional_${field})
            break()
        endif()
    endforeach()
    if(NOT rest STREQUAL "" OR NOT found_out)
        string(REGEX MATCH "^_([^_]*)" word "${rest}_")
        message(FATAL_ERROR "${row}: ${name}: '${CMAKE_MATCH_1}' is not a word that may stand there; "
                            "the words of a name, in their order (reference/contract.inc):${grammar}")
    endif()
    if(NOT DEFINED arch_backend_${arch})
        message(FATAL_ERROR "${row}: ${name} has arch ${arch}, which is not in kernels/arch.inc")
    endif()
    set(op ${found_op} PARENT_SCOPE)
    set(arch ${arch} PARENT_SCOPE)
endfunction()

set(kernel_listed_sources)
set(kernel_names)
set(kernel_name_lines)
set(kernel_prototypes)
set(kernel_initialisers)
set(NF4BENCH_KERNEL_SOURCES)
set(NF4BENCH_CUDA_SOURCES)

macro(kernels file)
    set(source ${folder}/${file})
    set(row "kernels/${folder}/rows.inc: ${file}")
    if(NOT EXISTS ${kernel_dir}/${source})
        message(FATAL_ERROR "${row}: kernels/${source} does not exist")
    endif()
    if(source IN_LIST kernel_listed_sources)
        message(FATAL_ERROR "${row} has two rows; name all of its variants in one")
    endif()
    list(LENGTH kernel_listed_sources source_index)
    list(APPEND kernel_listed_sources ${source})
    cmake_parse_arguments(limit "" "M_MAX;K_MULTIPLE;REGISTERS;STACK" "" ${ARGN})
    set(source_arch)
    set(checks "/* The rows of kernels/${source}; generated by cmake/KernelTable.cmake. */\n#include \"kernels/row.h\"\n\n")
    foreach(names IN LISTS limit_UNPARSED_ARGUMENTS)
        expand_braces(names ${names})
        foreach(name IN LISTS names)
            parse_name(${name})
            if(name IN_LIST kernel_names)
                message(FATAL_ERROR "${row}: ${name} is listed twice")
            endif()
            list(APPEND kernel_names ${name})
            if(source_arch AND NOT arch STREQUAL source_arch)
                message(FATAL_ERROR "${row}: ${name} is of ${arch}, and other names are of ${source_arch}; "
                                    "one file has one arch")
            endif()
            set(source_arch ${arch})
            string(APPEND kernel_name_lines "kernels/${folder}/rows.inc: ${file}: ${name}\n")
            string(APPEND checks "ROW(${name}, ${op})\n")
            add_initialiser()
        endforeach()
    endforeach()
    if(NOT source_arch)
        message(FATAL_ERROR "${row} has no name")
    endif()
    if(arch_backend_${arch} STREQUAL CUDA)
        list(APPEND NF4BENCH_CUDA_SOURCES ${source})
        set(cuda_min_sm_${source} ${arch_needs_${arch}})
        if(NOT DEFINED limit_REGISTERS)
            message(FATAL_ERROR "${row} has no REGISTERS")
        endif()
        if(NOT DEFINED limit_STACK)
            set(limit_STACK 0)
        endif()
        set(cuda_limits_${source} -DREGISTERS=${limit_REGISTERS} -DSTACK=${limit_STACK})
        set(flags)
    elseif(NF4BENCH_HAVE_ARCH_${arch})
        list(APPEND NF4BENCH_KERNEL_SOURCES ${kernel_dir}/${source})
        set(flags ${arch_flags_${arch}} -Werror=missing-prototypes)
    endif()
    set(header ${PROJECT_BINARY_DIR}/generated/rows/${source}.h)
    file(CONFIGURE OUTPUT ${header} CONTENT "${checks}" @ONLY)
    set_source_files_properties(${kernel_dir}/${source} PROPERTIES COMPILE_OPTIONS "${flags};-include;${header}")
endmacro()

# The prototype and the initialiser of `name`. Those that this build has no code for have no function.
macro(add_initialiser)
    set(initialiser ".name = \"${name}\", .source = \"${source}\"")
    string(APPEND initialiser ", .source_hash = kernel_hashes[${source_index}].source")
    set(built 1)
    if(arch_backend_${arch} STREQUAL CUDA)
        string(APPEND kernel_prototypes "extern const struct entry ${name}__fast, ${name}__checked;\n")
        string(APPEND initialiser ", .backend = NF4BENCH_CUDA, .fast = &${name}__fast")
        if(NF4BENCH_SIMT_CHECKED)
            string(APPEND initialiser ", .checked = &${name}__checked")
        endif()
    else()
        string(APPEND initialiser ", .backend = NF4BENCH_CPU")
        if(NF4BENCH_HAVE_ARCH_${arch})
            string(APPEND kernel_prototypes "extern ${op}_fn ${name};\n")
            string(REPLACE gemmdx gemm member ${op})
            string(APPEND initialiser ", .${member} = ${name}")
        else()
            set(built 0)
        endif()
    endif()
    if(built)
        string(APPEND initialiser ", .code_hash = kernel_hashes[${source_index}].code")
    endif()
    if(DEFINED limit_M_MAX)
        string(APPEND initialiser ", .m_max = ${limit_M_MAX}")
    endif()
    if(DEFINED limit_K_MULTIPLE)
        string(APPEND initialiser ", .k_multiple = ${limit_K_MULTIPLE}")
    endif()
    if(built)
        string(APPEND kernel_initialisers "    {${initialiser}},\n")
    else()
        string(APPEND kernel_initialisers "#ifdef KERNEL_TABLE_ALL\n    {${initialiser}},\n#endif\n")
    endif()
endmacro()

foreach(folder IN LISTS kernel_folders)
    include(${kernel_dir}/${folder}/rows.inc)
endforeach()
file(CONFIGURE OUTPUT ${kernel_table} @ONLY CONTENT "/* Generated by cmake/KernelTable.cmake. */
${kernel_prototypes}
static struct nf4bench_variant kernel_table[] = {
${kernel_initialisers}};
")

file(GLOB_RECURSE kernel_files CONFIGURE_DEPENDS RELATIVE ${kernel_dir} ${kernel_dir}/*.c ${kernel_dir}/*.cu)
list(REMOVE_ITEM kernel_files library.c ${kernel_listed_sources})
foreach(file IN LISTS kernel_files)
    get_filename_component(folder ${file} DIRECTORY)
    message(FATAL_ERROR "kernels/${file} has no row in kernels/${folder}/rows.inc")
endforeach()
