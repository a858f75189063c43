# cmake -D IN=file.html -D OUT=file.cc -P embed.cmake: the page as a source file that defines PageHtml().
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(................................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "// Made by embed.cmake of the trace viewer's page.
#include \"view_command.h\"

namespace tierlib::trace_viewer {
namespace {

constexpr unsigned char kPage[] = {
${bytes}};

}  // namespace

std::string_view PageHtml() { return {reinterpret_cast<const char*>(kPage), sizeof(kPage)}; }

}  // namespace tierlib::trace_viewer
")
