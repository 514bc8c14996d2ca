/* What pair_a offers. */
#ifndef PAIR_H
#define PAIR_H

long pair_a_add(long value);

#endif
