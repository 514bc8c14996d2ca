/* Doubly linked rings: a head, and a `struct list_head` in each member. */
#ifndef _LINUX_LIST_H
#define _LINUX_LIST_H

#include <linux/kernel.h>
#include <linux/types.h>

#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

static inline void __list_link(struct list_head *entry, struct list_head *prev,
			       struct list_head *next)
{
	entry->prev = prev;
	entry->next = next;
	prev->next = entry;
	next->prev = entry;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
	__list_link(entry, head, head->next);
}

static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
	__list_link(entry, head->prev, head);
}

static inline void list_del(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	INIT_LIST_HEAD(entry);
}

static inline void list_del_init(struct list_head *entry)
{
	list_del(entry);
}

/* Out of whatever ring the entry is in, into the head's: first, or last. */
static inline void list_move(struct list_head *entry, struct list_head *head)
{
	list_del(entry);
	list_add(entry, head);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *head)
{
	list_del(entry);
	list_add_tail(entry, head);
}

static inline bool list_empty(const struct list_head *head)
{
	return READ_ONCE(head->next) == head;
}

/* All of `from` stands before the first of `head`; the head `from` is then of no use. */
static inline void list_splice(const struct list_head *from, struct list_head *head)
{
	struct list_head *first = from->next, *last = from->prev;

	if (first == from)
		return;
	last->next = head->next;
	head->next->prev = last;
	head->next = first;
	first->prev = head;
}

/* The same; `from` is empty afterwards. */
static inline void list_splice_init(struct list_head *from, struct list_head *head)
{
	list_splice(from, head);
	INIT_LIST_HEAD(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(head, type, member) \
	list_entry((head)->next, type, member)
#define list_last_entry(head, type, member) \
	list_entry((head)->prev, type, member)
#define list_next_entry(pos, member) \
	list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_prev_entry(pos, member) \
	list_entry((pos)->member.prev, __typeof__(*(pos)), member)
#define list_for_each(pos, head) \
	for (pos = (head)->next; pos != (head); pos = pos->next)
#define list_for_each_prev(pos, head) \
	for (pos = (head)->prev; pos != (head); pos = pos->prev)
/* `ahead` is the next one already: the body may take `pos` out, and free it. */
#define list_for_each_safe(pos, ahead, head)                                  \
	for (pos = (head)->next, ahead = pos->next; pos != (head);            \
	     pos = ahead, ahead = pos->next)
#define list_for_each_entry(pos, head, member)                                \
	for (pos = list_first_entry(head, __typeof__(*pos), member);          \
	     &pos->member != (head);                                          \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
#define list_for_each_entry_reverse(pos, head, member)                        \
	for (pos = list_last_entry(head, __typeof__(*pos), member);           \
	     &pos->member != (head); pos = list_prev_entry(pos, member))
/* As with list_for_each_safe. */
#define list_for_each_entry_safe(pos, ahead, head, member)                    \
	for (pos = list_first_entry(head, __typeof__(*pos), member),          \
	     ahead = list_entry(pos->member.next, __typeof__(*pos), member);  \
	     &pos->member != (head);                                          \
	     pos = ahead,                                                     \
	     ahead = list_entry(ahead->member.next, __typeof__(*ahead), member))

#endif
