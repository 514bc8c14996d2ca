/* A patch of both of mix's functions: klp_mix.h says how. */
#define GENERATION 2
#include "klp_mix.h"
