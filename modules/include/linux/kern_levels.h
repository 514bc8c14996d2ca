/* How important a line is: SOH and a digit in front of its text. */
#ifndef _LINUX_KERN_LEVELS_H
#define _LINUX_KERN_LEVELS_H

#define KERN_SOH     "\001"
#define KERN_EMERG   KERN_SOH "0" /* the machine is unusable */
#define KERN_ALERT   KERN_SOH "1" /* act at once */
#define KERN_CRIT    KERN_SOH "2" /* critical */
#define KERN_ERR     KERN_SOH "3" /* an error */
#define KERN_WARNING KERN_SOH "4" /* something to look at */
#define KERN_NOTICE  KERN_SOH "5" /* normal, but remarkable */
#define KERN_INFO    KERN_SOH "6" /* information */
#define KERN_DEBUG   KERN_SOH "7" /* for developers */
#define KERN_DEFAULT ""
#define KERN_CONT    KERN_SOH "c" /* goes on with the line before */

#endif
