# What Debian's policy asks for beside what is installed: its own changelog, and man pages and changelogs compressed, and
# completions for zsh where its own zsh looks. Run by cpack over the files before it packs them.
set(root ${CPACK_TEMPORARY_DIRECTORY}/usr/share)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH where that is set
configure_file(${CMAKE_CURRENT_LIST_DIR}/changelog.in ${root}/doc/serin/changelog @ONLY)

file(GLOB_RECURSE pages ${root}/man/*.[1-9])
foreach(file ${pages} ${root}/doc/serin/changelog)
  execute_process(COMMAND gzip -9n ${file} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
if(EXISTS ${root}/zsh/site-functions)
  file(RENAME ${root}/zsh/site-functions ${root}/zsh/vendor-completions)
endif()
