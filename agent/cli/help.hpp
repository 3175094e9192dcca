/// The prose of `--help`: what the options alone do not teach.
#pragma once

#include <string_view>

namespace ingot::agent {

extern const std::string_view kAbout, kTopFooter;
extern const std::string_view kManual;  ///< what the manual alone says, in the footers' form
extern const std::string_view kWriteAbout, kWriteFooter;
extern const std::string_view kVerifyAbout, kVerifyFooter;
extern const std::string_view kEraseAbout, kEraseFooter;
extern const std::string_view kInfoAbout, kInfoFooter;
extern const std::string_view kDevicesAbout, kDevicesFooter;
extern const std::string_view kResolveAbout, kResolveFooter;
extern const std::string_view kAgentAbout, kAgentFooter;
extern const std::string_view kProvisionAbout, kProvisionFooter;

}  // namespace ingot::agent
