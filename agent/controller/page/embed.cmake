# Makes a C++ file that holds the page's files: cmake -DOUTPUT=FILE -DDIRECTORY=DIR -P embed.cmake
cmake_minimum_required(VERSION 3.25)

set(data "")
set(list "")
function(embed file path type)
  file(READ ${DIRECTORY}/${file} bytes HEX)
  if(bytes STREQUAL "")
    message(FATAL_ERROR "${DIRECTORY}/${file} is empty")
  endif()
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(MAKE_C_IDENTIFIER ${file} name)
  string(APPEND data "const unsigned char ${name}[] = {${bytes}};\n")
  string(APPEND list "      {\"${path}\", \"${type}\", {reinterpret_cast<const char*>(${name}), sizeof ${name}}},\n")
  set(data "${data}" PARENT_SCOPE)
  set(list "${list}" PARENT_SCOPE)
endfunction()
embed(index.html / "text/html; charset=utf-8")
embed(app.js /app.js "text/javascript; charset=utf-8")
embed(style.css /style.css "text/css; charset=utf-8")

file(WRITE ${OUTPUT}.new "#include \"agent/controller/page.hpp\"

namespace ingot::agent {
namespace {
${data}}  // namespace

const std::vector<PageFile>& page_files() {
  static const std::vector<PageFile> files = {
${list}  };
  return files;
}

}  // namespace ingot::agent
")
file(RENAME ${OUTPUT}.new ${OUTPUT})
