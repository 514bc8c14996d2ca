/*
 * A live patch that its parameters describe; klp_a, klp_b and klp_c are this one
 * under three names, to be stacked and to replace one another.
 *
 *   insmod klp_a func=demo:answer value=50           call demo:answer = 0x32
 *   insmod klp_b func=demo:answer,demo:nine value=60,61 replace=1
 *   insmod klp_a func=demo:,vmlinux: talk=1          callbacks alone, no functions
 *   insmod klp_a func=demo: talk=1 refuse=-19        pre_patch of demo's refuses
 *   insmod klp_a func=demo:answer state=7 version=2  says that it has changed state 7
 *
 * Entries of one object stand together; `vmlinux` is the kernel.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

#define MOST 4

static char usual[] = "demo:answer"; /* it is cut at the colon */
static char *func[MOST] = { usual };
static int func_count = 1;
module_param_array(func, charp, &func_count, 0444);
MODULE_PARM_DESC(func, "OBJECT:FUNCTION to be replaced, or OBJECT: for callbacks alone");

static long value[MOST];
module_param_array(value, long, NULL, 0644);
MODULE_PARM_DESC(value, "what each replacement returns");

static bool replace;
module_param(replace, bool, 0444);
MODULE_PARM_DESC(replace, "takes the place of all patches before");

static bool talk;
module_param(talk, bool, 0444);
MODULE_PARM_DESC(talk, "there are callbacks, and they say so");

static int refuse;
module_param(refuse, int, 0644);
MODULE_PARM_DESC(refuse, "what pre_patch returns");

static char *refuse_for = "";
module_param(refuse_for, charp, 0644);
MODULE_PARM_DESC(refuse_for, "only for this object");

static ulong state;
module_param(state, ulong, 0444);
MODULE_PARM_DESC(state, "number of a state of the system that this patch changes");

static uint version = 1;
module_param(version, uint, 0444);
MODULE_PARM_DESC(version, "of that state");

#define REPLACEMENT(n)                  \
	static long replacement_##n(void) \
	{                                 \
		return READ_ONCE(value[n]); \
	}
REPLACEMENT(0)
REPLACEMENT(1)
REPLACEMENT(2)
REPLACEMENT(3)

static void *const replacements[MOST] = {
	replacement_0, replacement_1, replacement_2, replacement_3
};

static struct klp_func funcs[MOST][MOST + 1];
static struct klp_object objs[MOST + 1];
static struct klp_state states[2];
static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

/* The callbacks are not traced: tests count the sites. */
static notrace void say(const char *callback, struct klp_object *obj)
{
	static const char *const how_far[] = {
		[MODULE_STATE_LIVE] = "live",
		[MODULE_STATE_COMING] = "coming",
		[MODULE_STATE_GOING] = "going",
	};

	if (obj->mod)
		pr_info("%s: %s, %s\n", callback, obj->mod->name,
			how_far[obj->mod->state]);
	else
		pr_info("%s: vmlinux\n", callback);
}

/* A state's data: what the first patch that changed it found. */
static notrace void take_state(void)
{
	struct klp_state *own = klp_get_state(&patch, state);
	struct klp_state *before = klp_get_prev_state(state);

	if (before) {
		own->data = before->data;
		pr_info("takes over state %lu, version %u: %ld\n", state,
			before->version, *(long *)own->data);
		return;
	}
	own->data = kzalloc(sizeof(long), GFP_KERNEL);
	*(long *)own->data = 15;
	pr_info("allocates state %lu\n", state);
}

static notrace int pre_patch(struct klp_object *obj)
{
	say("pre_patch", obj);
	if (!*refuse_for || (obj->name && !strcmp(refuse_for, obj->name)))
		if (refuse)
			return refuse;
	if (state)
		take_state();
	return 0;
}

static notrace void post_patch(struct klp_object *obj)
{
	say("post_patch", obj);
	if (state && !klp_get_prev_state(state))
		pr_info("changes state %lu\n", state);
}

static notrace void pre_unpatch(struct klp_object *obj)
{
	say("pre_unpatch", obj);
	if (state && !klp_get_prev_state(state))
		pr_info("restores state %lu: %ld\n", state,
			*(long *)klp_get_state(&patch, state)->data);
	else if (state)
		pr_info("leaves state %lu\n", state);
}

static notrace void post_unpatch(struct klp_object *obj)
{
	say("post_unpatch", obj);
	if (state && !klp_get_prev_state(state)) {
		pr_info("frees state %lu\n", state);
		kfree(klp_get_state(&patch, state)->data);
	}
}

static const struct klp_callbacks callbacks = {
	.pre_patch = pre_patch,
	.post_patch = post_patch,
	.pre_unpatch = pre_unpatch,
	.post_unpatch = post_unpatch,
};

static int __init any_init(void)
{
	int i, object = -1, place = 0;

	for (i = 0; i < func_count; i++) {
		char *colon = strchr(func[i], ':');
		char *name = func[i];

		if (!colon)
			return -EINVAL;
		*colon = 0;
		if (!strcmp(name, "vmlinux"))
			name = NULL;
		if (object < 0 || !name != !objs[object].name ||
		    (name && strcmp(name, objs[object].name))) {
			object++;
			place = 0;
			objs[object].name = name;
			objs[object].funcs = funcs[object];
			if (talk)
				objs[object].callbacks = callbacks;
		}
		if (!colon[1])
			continue;
		funcs[object][place].old_name = colon + 1;
		funcs[object][place].new_func = replacements[i];
		place++;
	}
	patch.replace = replace;
	if (state) {
		states[0].id = state;
		states[0].version = version;
		patch.states = states;
	}
	return klp_enable_patch(&patch);
}
module_init(any_init);

static void __exit any_exit(void)
{
}
module_exit(any_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("A live patch that its parameters describe");
