# CompileDevice.cmake: compiles device code and compares it with the limits of its row (cmake/KernelTable.cmake): what
# registers do not hold is spilled to memory, and costs more than it looks. Writes OUT, and OUT.resources, what each kernel
# needs.
#
#   cmake -DNVCC=nvcc -DSOURCE=mma.cu -DREGISTERS=128 -DSTACK=0 -DOUT=mma.fatbin -P CompileDevice.cmake -- OPTION...
#
# OPTIONs go to nvcc. Without REGISTERS nothing is held to anything. One thread: the reports of two would mingle.
set(options)
foreach(i RANGE ${CMAKE_ARGC})
    if(DEFINED past)
        list(APPEND options "${CMAKE_ARGV${i}}")
    elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
        set(past 1)
    endif()
endforeach()
execute_process(COMMAND ${NVCC} ${options} -Xptxas -v -o ${OUT} RESULT_VARIABLE failed OUTPUT_VARIABLE said
                ERROR_VARIABLE report)
# "ptxas info : ..." is the report; everything else is for people.
string(REGEX REPLACE "ptxas info[^\n]*\n|[^\n]*bytes stack frame[^\n]*\n" "" messages "${said}${report}")
if(NOT "${messages}" STREQUAL "")
    message("${messages}")
endif()
if(failed)
    file(REMOVE ${OUT})
    message(FATAL_ERROR "nvcc failed on ${SOURCE}")
endif()

# Three lines a kernel: its name and architecture, its stack and spills, its registers.
string(REGEX MATCHALL "Compiling entry function '[^\n]*|[^\n]*bytes stack frame[^\n]*|Used [0-9]+ registers[^\n]*"
       lines "${said}${report}")
set(table "# kernel, architecture, registers, bytes of stack\n")
set(past "")
set(kernels 0)
foreach(line IN LISTS lines)
    if(line MATCHES "function '([^']*)' for '([^']*)'")
        set(kernel ${CMAKE_MATCH_1})
        set(arch ${CMAKE_MATCH_2})
    elseif(line MATCHES "([0-9]+) bytes stack frame")
        set(stack ${CMAKE_MATCH_1})
    elseif(line MATCHES "Used ([0-9]+) registers")
        string(APPEND table "${kernel} ${arch} ${CMAKE_MATCH_1} ${stack}\n")
        math(EXPR kernels "${kernels} + 1")
        if(DEFINED REGISTERS AND (CMAKE_MATCH_1 GREATER REGISTERS OR stack GREATER STACK))
            string(APPEND past "\n  ${kernel} on ${arch}: ${CMAKE_MATCH_1} registers, ${stack} bytes of stack")
        endif()
    endif()
endforeach()
if(kernels EQUAL 0)
    file(REMOVE ${OUT})
    message(FATAL_ERROR "${SOURCE}: nvcc reported no kernel's resources:\n${report}")
endif()
file(WRITE ${OUT}.resources "${table}")
if(past)
    file(REMOVE ${OUT})
    message(FATAL_ERROR "kernels/${SOURCE}: past the limits of its row, ${REGISTERS} registers and ${STACK} "
                        "bytes of stack (spills, and arrays with indices known too late only):${past}")
endif()
