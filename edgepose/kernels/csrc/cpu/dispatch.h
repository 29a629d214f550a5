// Which instruction set computes: the best that this CPU has, unless another was selected.
#pragma once

#include "ops.h"

namespace ep {

// Every instruction set compiled in that this CPU can run, best first; ends with null.
const Table* const* usable_tables();

const Table& table();

// False where no usable one has that name.
bool select_table(const char* name);

}  // namespace ep
