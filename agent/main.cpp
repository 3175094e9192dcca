#include "agent/cli/run.hpp"
#include "agent/job/process.hpp"

int main(int argc, char** argv) {
  ingot::agent::set_up_process();
  return ingot::agent::run(argc, argv);
}
