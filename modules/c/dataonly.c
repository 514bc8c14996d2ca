/* Data and no function: no text, no call site, no stub, no TOC. */
#include <linux/module.h>

unsigned char dataonly_squares[8] = { 0, 1, 4, 9, 16, 25, 36, 49 };
EXPORT_SYMBOL_GPL(dataonly_squares);

/* A pointer to own data, so that there is one relocation beside the export's. */
unsigned char *dataonly_last = &dataonly_squares[7];
EXPORT_SYMBOL_GPL(dataonly_last);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Data only");
