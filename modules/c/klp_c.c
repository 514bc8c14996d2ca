/* One of three equal patches that parameters describe: klp_any.h says how. */
#include "klp_any.h"
