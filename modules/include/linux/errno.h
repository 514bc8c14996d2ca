/* Why something failed. Functions return the negative of these. */
#ifndef _LINUX_ERRNO_H
#define _LINUX_ERRNO_H

#define EPERM      1 /* not allowed */
#define ENOENT     2 /* no such name */
#define ESRCH      3 /* no such job */
#define EINTR      4 /* interrupted */
#define EIO        5 /* the device failed */
#define ENXIO      6 /* no such device or address */
#define E2BIG      7 /* argument list too long */
#define ENOEXEC    8 /* not a module, or not one for this machine */
#define EAGAIN    11 /* try again */
#define ENOMEM    12 /* out of memory */
#define EACCES    13 /* permission denied */
#define EFAULT    14 /* bad address */
#define EBUSY     16 /* in use */
#define EEXIST    17 /* exists already */
#define ENODEV    19 /* no such device */
#define EINVAL    22 /* bad argument */
#define ENOSPC    28 /* no room */
#define EDOM      33 /* outside of the function's domain */
#define ERANGE    34 /* outside of the result's range */
#define ENOSYS    38 /* not there */
#define EOVERFLOW 75 /* too large for its type */
#define EOPNOTSUPP 95 /* not supported */
#define ETIMEDOUT 110 /* took too long */

#endif
