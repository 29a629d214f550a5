// Compiled before anything else: takes back what the headers of csrc look at to know the processor, so that they
// compile what `generic` is. The system's headers look at the same, so those in use come first.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <atomic>
#include <cstring>

#undef __x86_64__
#undef __SSE2__
#undef __aarch64__
#undef __ARM_FEATURE_FMA
