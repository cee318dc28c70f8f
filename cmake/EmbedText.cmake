# EmbedText.cmake: writes OUT, a C file with the text of FILES (relative to ROOT) as `const struct embedded_file
# embedded_files[]` (harness/base/embedded.h). Run at build time: cmake -DOUT=.. -DROOT=.. -DFILES="a b" -P EmbedText.cmake
separate_arguments(FILES UNIX_COMMAND "${FILES}")
set(text "#include \"harness/base/embedded.h\"\n\nconst struct embedded_file embedded_files[] = {\n")
foreach(file IN LISTS FILES)
    file(READ ${ROOT}/${file} content)
    string(REPLACE "\\" "\\\\" content "${content}")
    string(REPLACE "\"" "\\\"" content "${content}")
    string(REPLACE "\n" "\\n\"\n\"" content "${content}")
    string(APPEND text "{\"${file}\",\n\"${content}\"},\n")
endforeach()
string(APPEND text "{0, 0}};\n")
file(WRITE ${OUT} "${text}")
