/*
 * Parameters: variables that `insmod NAME param=value` sets before init runs.
 *
 *   __param entry, 40 bytes        .modinfo
 *   +0   name                      parmtype=times:int
 *   +8   module                    parm=times:how often to greet
 *   +16  ops     ---> the kernel's param_ops_int: parse, print, free
 *   +24  permissions (u16), level (s8), flags (u8)
 *   +32  arg     ---> the variable, or a description of an array or string
 */
#ifndef _LINUX_MODULEPARAM_H
#define _LINUX_MODULEPARAM_H

#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/types.h>

/* Text `tag=info` in the section that `modinfo` prints. */
#define __MODULE_INFO(tag, name, info)                            \
	static const char __UNIQUE_ID(name)[] __used              \
		__section(".modinfo") __aligned(1) = #tag "=" info
#define __MODULE_PARM_TYPE(name, type) \
	__MODULE_INFO(parmtype, name, #name ":" type)

#define MODULE_PARM_DESC(name, text) __MODULE_INFO(parm, name, #name ":" text)

struct kernel_param;

struct kernel_param_ops {
	unsigned int flags;
	int (*set)(const char *value, const struct kernel_param *param);
	int (*get)(char *buffer, const struct kernel_param *param);
	void (*free)(void *arg);
};

/* In ops->flags: `name` without `=value` is allowed. */
#define KERNEL_PARAM_OPS_FL_NOARG 1

/* In param->flags: setting it is risky (the kernel says so). */
#define KERNEL_PARAM_FL_UNSAFE 1

struct kparam_string {
	unsigned int maxlen;
	char *string;
};

struct kparam_array {
	unsigned int max;
	unsigned int elemsize;
	unsigned int *num;
	const struct kernel_param_ops *ops;
	void *elem;
};

struct kernel_param {
	const char *name;
	struct module *mod;
	const struct kernel_param_ops *ops;
	const u16 perm;
	s8 level;
	u8 flags;
	union {
		void *arg;
		const struct kparam_string *str;
		const struct kparam_array *arr;
	};
};

_Static_assert(sizeof(struct kernel_param) == 40, "Linux 6.1's size");
_Static_assert(offsetof(struct kernel_param, ops) == 16, "Linux 6.1's layout");
_Static_assert(offsetof(struct kernel_param, perm) == 24, "Linux 6.1's layout");
_Static_assert(offsetof(struct kernel_param, level) == 26, "Linux 6.1's layout");
_Static_assert(offsetof(struct kernel_param, flags) == 27, "Linux 6.1's layout");
_Static_assert(offsetof(struct kernel_param, arg) == 32, "Linux 6.1's layout");
_Static_assert(sizeof(struct kernel_param_ops) == 32, "Linux 6.1's size");
_Static_assert(sizeof(struct kparam_string) == 16, "Linux 6.1's size");
_Static_assert(sizeof(struct kparam_array) == 32, "Linux 6.1's size");

extern const struct kernel_param_ops param_ops_byte;
extern const struct kernel_param_ops param_ops_short;
extern const struct kernel_param_ops param_ops_ushort;
extern const struct kernel_param_ops param_ops_int;
extern const struct kernel_param_ops param_ops_uint;
extern const struct kernel_param_ops param_ops_long;
extern const struct kernel_param_ops param_ops_ulong;
extern const struct kernel_param_ops param_ops_ullong;
extern const struct kernel_param_ops param_ops_hexint;
extern const struct kernel_param_ops param_ops_charp;
extern const struct kernel_param_ops param_ops_bool;
extern const struct kernel_param_ops param_ops_bool_enable_only;
extern const struct kernel_param_ops param_ops_invbool;
extern const struct kernel_param_ops param_ops_string;
extern const struct kernel_param_ops param_array_ops;

/* What the tables have in them; for operations of a module's own. */
int param_set_int(const char *value, const struct kernel_param *param);
int param_get_int(char *buffer, const struct kernel_param *param);
int param_set_uint(const char *value, const struct kernel_param *param);
int param_get_uint(char *buffer, const struct kernel_param *param);
int param_set_bool(const char *value, const struct kernel_param *param);
int param_get_bool(char *buffer, const struct kernel_param *param);
int param_set_charp(const char *value, const struct kernel_param *param);
int param_get_charp(char *buffer, const struct kernel_param *param);
int param_set_uint_minmax(const char *value, const struct kernel_param *param,
			  unsigned int min, unsigned int max);

/* Never called: the compiler checks the variable's type with them. */
#define __param_check(name, p, type)                                  \
	static inline __maybe_unused type *__check_##name(void)       \
	{                                                             \
		return p;                                             \
	}
#define param_check_byte(name, p)    __param_check(name, p, unsigned char)
#define param_check_short(name, p)   __param_check(name, p, short)
#define param_check_ushort(name, p)  __param_check(name, p, unsigned short)
#define param_check_int(name, p)     __param_check(name, p, int)
#define param_check_uint(name, p)    __param_check(name, p, unsigned int)
#define param_check_long(name, p)    __param_check(name, p, long)
#define param_check_ulong(name, p)   __param_check(name, p, unsigned long)
#define param_check_ullong(name, p)  __param_check(name, p, unsigned long long)
#define param_check_hexint(name, p)  __param_check(name, p, unsigned int)
#define param_check_charp(name, p)   __param_check(name, p, char *)
#define param_check_bool(name, p)    __param_check(name, p, bool)
#define param_check_invbool(name, p) __param_check(name, p, bool)
#define param_check_bool_enable_only(name, p) __param_check(name, p, bool)

/* Read by others, written by their owner, no strange bits: as Linux asks. */
#define __PARAM_PERM_OK(perm)                                                  \
	((perm) >= 0 && (perm) <= 0777 && !((perm) & 2) &&                     \
	 (((perm) >> 6) & 4) >= (((perm) >> 3) & 4) &&                         \
	 (((perm) >> 3) & 4) >= ((perm) & 4))

#define __module_param_call(name, ops, member, arg, perm, flags)           \
	_Static_assert(__PARAM_PERM_OK(perm), "permissions of " #name);    \
	static const char __param_str_##name[] = #name;                    \
	static const struct kernel_param __param_##name                    \
		__section("__param") __used __aligned(8) = {               \
			__param_str_##name, THIS_MODULE, ops, perm, -1,    \
			flags, { member arg }                              \
		}

#define module_param_cb(name, ops, arg, perm) \
	__module_param_call(name, ops, , arg, perm, 0)

#define __module_param_named(name, variable, type, perm, flags)              \
	param_check_##type(name, &(variable))                                \
	__module_param_call(name, &param_ops_##type, , &(variable), perm,    \
			    flags);                                          \
	__MODULE_PARM_TYPE(name, #type)

#define module_param_named(name, variable, type, perm) \
	__module_param_named(name, variable, type, perm, 0)
#define module_param(name, type, perm) \
	__module_param_named(name, name, type, perm, 0)
#define module_param_unsafe(name, type, perm) \
	__module_param_named(name, name, type, perm, KERNEL_PARAM_FL_UNSAFE)

/* A buffer of `len` bytes that the value is copied into. */
#define module_param_string(name, buffer, len, perm)                      \
	static const struct kparam_string __param_string_##name = {       \
		len, buffer                                               \
	};                                                                \
	__module_param_call(name, &param_ops_string, .str =,              \
			    &__param_string_##name, perm, 0);             \
	__MODULE_PARM_TYPE(name, "string")

/* Values separated by commas; their number goes to `*nump` unless NULL. */
#define module_param_array_named(name, array, type, nump, perm)             \
	param_check_##type(name, &(array)[0])                               \
	static const struct kparam_array __param_arr_##name = {             \
		.max = sizeof(array) / sizeof((array)[0]),                  \
		.num = nump,                                                \
		.ops = &param_ops_##type,                                   \
		.elemsize = sizeof((array)[0]),                             \
		.elem = array,                                              \
	};                                                                  \
	__module_param_call(name, &param_array_ops, .arr =,                 \
			    &__param_arr_##name, perm, 0);                  \
	__MODULE_PARM_TYPE(name, "array of " #type)
#define module_param_array(name, type, nump, perm) \
	module_param_array_named(name, name, type, nump, perm)

#endif
