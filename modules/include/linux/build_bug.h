/* Claims that the compiler checks. */
#ifndef _LINUX_BUILD_BUG_H
#define _LINUX_BUILD_BUG_H

#define __static_assert(claim, text, ...) _Static_assert(claim, text)
#define static_assert(claim, ...) __static_assert(claim, ##__VA_ARGS__, #claim)
#define BUILD_BUG_ON(condition) _Static_assert(!(condition), #condition)

#endif
