/// The program, without the operating system's idea of a main().
#pragma once

namespace ingot::agent {

/// Parses the arguments, hides the secrets among them, runs the command; returns the exit code.
int run(int argc, char** argv);

}  // namespace ingot::agent
