#include "agent/process.hpp"
#include "agent/run.hpp"

int main(int argc, char** argv) {
  ingot::agent::set_up_process();
  return ingot::agent::run(argc, argv);
}
