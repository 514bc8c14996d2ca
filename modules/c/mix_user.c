/*
 * Calls mix's functions all the time, by a stub, as mix itself does, and by a pointer,
 * and counts what they answer: of one generation, or of several at once.
 *
 *   call -b -c 1 mix_user:mix_run         until mix_stop
 *   call mix_user:mix_report              a line a CPU; = 0x0 if nothing was mixed
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include "mix.h"

#define CPUS 8

static struct {
	unsigned long seen[3];
	unsigned long mixed;
} tallies[CPUS];

static int stop;
static long (*pointer)(void) = mix_outer;

static notrace void count(unsigned int cpu, long answer)
{
	long generation = answer >> 16;

	if (generation >= 0 && generation < 3 && answer == generation * 0x010101)
		tallies[cpu].seen[generation]++;
	else
		tallies[cpu].mixed++;
}

/* No two rounds of one length: ticks would meet them at the same place again and again. */
static __always_inline int random_turns(unsigned long *random)
{
	*random = *random * 6364136223846793005UL + 1442695040888963407UL;
	return 200 + (*random >> 55);
}

/* Outside of what changes for most of the time, also when that is traced, so that a tick
 * soon finds it there and changes come to an end. */
notrace unsigned long mix_run(void)
{
	unsigned long random = 1;
	unsigned short cpu;

	asm volatile("lhz %0,8(13)" : "=r"(cpu));
	while (!READ_ONCE(stop)) {
		count(cpu % CPUS, mix_outer());
		MIX_LINGER(random_turns(&random));
		count(cpu % CPUS, mix_near());
		MIX_LINGER(random_turns(&random));
		count(cpu % CPUS, READ_ONCE(pointer)());
		MIX_LINGER(random_turns(&random));
	}
	return 0;
}

notrace unsigned long mix_stop(void)
{
	WRITE_ONCE(stop, 1);
	return 0;
}

notrace unsigned long mix_report(void)
{
	unsigned long mixed = 0;
	int cpu;

	for (cpu = 0; cpu < CPUS; cpu++) {
		unsigned long *seen = tallies[cpu].seen;

		if (!(seen[0] | seen[1] | seen[2] | tallies[cpu].mixed))
			continue;
		pr_info("cpu %d old %lu one %lu two %lu mixed %lu\n", cpu, seen[0],
			seen[1], seen[2], tallies[cpu].mixed);
		mixed += tallies[cpu].mixed;
	}
	return mixed;
}

EXPORT_SYMBOL_GPL(mix_run);
EXPORT_SYMBOL_GPL(mix_stop);
EXPORT_SYMBOL_GPL(mix_report);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls mix's functions, and looks for answers of two generations");
