// Selects the instruction set: the best one of this CPU, unless another one was selected.
#pragma once

#include "ops.h"

namespace ep {

// All compiled instruction sets that this CPU can run, best first; the list ends with null.
const Table* const* usable_tables();

const Table& table();

// Returns false if no usable instruction set has that name.
bool select_table(const char* name);

}  // namespace ep
