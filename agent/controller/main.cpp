#include "agent/controller/controller_command.hpp"
#include "agent/process/process.hpp"

int main(int argc, char** argv) {
  ingot::agent::set_up_process();
  return ingot::agent::run_controller_command(argc, argv);
}
