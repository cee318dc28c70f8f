# IncludeOrder.cmake: fails on a file that includes a folder which is not below its own.
#
#   cmake -DROOT=<source tree> "-DFOLDERS=harness/base;reference;..." -P IncludeOrder.cmake
#
# FOLDERS stand from the ground up (CMakeLists.txt). A file may include its own folder and the folders before it in the
# list. Three rules are narrower: reference/ and kernels/ do not include each other; results/ and plots/ take
# harness/base and nothing else of harness/; nothing takes anything of tests/.
#
# An include line has one of three forms, so that every one of them can be read here; any other line that holds # and
# the word include or import is a fault:
#
#   #include "path/from/the/root.h"      or .c, .cu, .inc
#   #include "generated.h"               a name of GENERATED
#   #include <system.h>                  no file of the tree
cmake_policy(VERSION 3.25)
set(GENERATED kernel_table.inc build_info.h git_revision.h)

function(folder_of path out)
    foreach(folder IN LISTS FOLDERS)
        string(FIND ${path} "${folder}/" at)
        if(at EQUAL 0)
            set(${out} ${folder} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    string(REGEX REPLACE "/.*" "" first ${path})
    set(${out} ${first} PARENT_SCOPE)
endfunction()

function(refusal from to out) # why `from` may not include `to`; empty where it may
    list(FIND FOLDERS ${from} own)
    list(FIND FOLDERS ${to} rank)
    set(why "")
    if(rank LESS 0)
        set(why "${to}/ is no folder of the program")
    elseif(rank GREATER own)
        set(why "${to}/ is above ${from}/")
    elseif(from STREQUAL kernels AND NOT to STREQUAL kernels)
        set(why "kernels/ includes its own files only")
    elseif(from MATCHES "^(results|plots)$" AND to STREQUAL kernels)
        set(why "${from}/ knows of no kernel")
    endif()
    set(${out} "${why}" PARENT_SCOPE)
endfunction()

function(check_line folder line out) # what is wrong with the line; empty where nothing is
    set(why "")
    if(line MATCHES "^#include \"([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\\.(c|h|cu|inc))\"( *//.*| */\\*.*)?$")
        set(path ${CMAKE_MATCH_1})
        if(path MATCHES "(^|/)\\.\\.?/")
            set(why "a path has no . or .. in it")
        elseif(path MATCHES "/")
            folder_of(${path} to)
            refusal(${folder} ${to} why)
        elseif(NOT path IN_LIST GENERATED)
            set(why "the path does not begin at the root of the tree")
        endif()
    elseif(line MATCHES "^#include <([A-Za-z0-9_+.-]+(/[A-Za-z0-9_+.-]+)*)>( *//.*| */\\*.*)?$")
        set(path ${CMAKE_MATCH_1})
        if(path MATCHES "(^|/)\\.\\.?/")
            set(why "a path has no . or .. in it")
        elseif(EXISTS ${ROOT}/${path} OR path IN_LIST GENERATED)
            set(why "a file of the tree stands between \"\"")
        endif()
    else()
        set(why "neither #include \"path/from/the/root.h\" nor #include <system.h>")
    endif()
    # A comment must end in its line, and nothing follows it: else the next line's include may be one or not.
    if(NOT why AND line MATCHES "/\\*" AND NOT line MATCHES "/\\*[^*/]*\\*/$")
        set(why "the comment does not end with the line")
    endif()
    set(${out} "${why}" PARENT_SCOPE)
endfunction()

set(faults "")
set(lines_seen 0)
foreach(folder IN LISTS FOLDERS)
    file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${folder}/*)
    foreach(file IN LISTS files)
        if(file MATCHES "\\.(md|in|py|map|h5|yaml|txt)$") # no C
            continue()
        endif()
        file(READ ${ROOT}/${file} text)
        # A list of CMake ends an item at ; and joins what stands between brackets.
        string(REGEX REPLACE "[][;]" " " text "${text}")
        # A directive may go on after a backslash, even in the middle of its word, and begin with the digraph %: or ??=.
        string(REGEX REPLACE "\\\\[ \t\r]*\n" "" text "${text}")
        string(REGEX REPLACE "%:|\\?\\?=" "#" text "${text}")
        string(REGEX MATCHALL "[^\n]?#[^\n]*(include|import)[^\n]*" lines "\n${text}")
        foreach(line IN LISTS lines)
            math(EXPR lines_seen "${lines_seen} + 1")
            check_line(${folder} "${line}" why)
            if(why)
                string(APPEND faults "\n  ${file}: ${line}: ${why}")
            endif()
        endforeach()
    endforeach()
endforeach()
if(lines_seen LESS 100)
    message(FATAL_ERROR "only ${lines_seen} include lines were found under ${ROOT}: the check looks in the wrong place")
endif()
if(faults)
    message(FATAL_ERROR "Includes that go up (the order of folders stands in CMakeLists.txt):${faults}")
endif()
message(STATUS "${lines_seen} include lines go down")
