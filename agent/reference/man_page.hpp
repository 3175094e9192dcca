/// Man pages: one for a program, and one for each of its commands.
#pragma once

#include <string>

#include "agent/reference/reference.hpp"

namespace ingot::agent {

/// "ingot.1", or, of a command, "ingot-write.1".
[[nodiscard]] std::string man_page_name(const ProgramReference& program,
                                        const CommandReference& page);

/// roff with the man macros, in ASCII (groff_man(7), groff_char(7)). `page` is the program's own
/// part or one of its commands. Its date is `date` ("2025-01-31"); "": none.
[[nodiscard]] std::string man_page(const ProgramReference& program, const CommandReference& page,
                                   const std::string& date);

}  // namespace ingot::agent
