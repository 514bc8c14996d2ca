/* newer_user, built against a `newer` that has changed since: refused. */
#define OPEN_CHECKSUM   "0x33333333"
#define newer_user_call newer_stale_call
#include "newer_user.c"
