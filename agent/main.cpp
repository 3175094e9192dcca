#include "agent/cli/run.hpp"
#include "agent/process/process.hpp"

int main(int argc, char** argv) {
  ingot::agent::set_up_process();
  return ingot::agent::run(argc, argv);
}
