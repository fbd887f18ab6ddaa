/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names of the simulated disk; see sim_names.h.
 *
 * Each directory is a list of slots; a slot is a name with the node it stands for now and on the platter.  A change sets
 * one slot (create, unlink) or two (rename).  Two changes depend on each other when they share a slot; keeping or losing
 * them in that order means that a kept change always finds what it found when it was made.
 */
#include "tests/sim/sim_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/msg.h"

struct name_slot {
	struct name_slot *next;
	struct sim_node *dir;	  /* borrowed: it owns the slot */
	struct sim_node *node[2]; /* per side, counted; NULL: no such name */
	int nchanges;		  /* pending ones that point here */
	bool mark;		  /* names_sync: needed; names_settle: lost */
	char name[];
};
struct name_change {
	struct name_change *next;
	uint64_t seq;
	struct name_slot *slot[2]; /* [1] may be NULL; counted in nchanges, and hold their directory */
	struct sim_node *after[2]; /* counted */
	bool needed;
};

static void node_unref(struct sim_node *node);

/* Free the slot if nothing needs it. */
static void slot_tidy(struct name_slot *slot)
{
	struct name_slot **p;

	if (slot->node[NOW] || slot->node[DURABLE] || slot->nchanges > 0)
		return;
	for (p = &slot->dir->slots; *p != slot; p = &(*p)->next)
		;
	*p = slot->next;
	free(slot);
}

static void node_free(struct sim_node *node)
{
	while (node->slots) {
		struct name_slot *slot = node->slots;

		node->slots = slot->next;
		for (int side = 0; side < 2; side++)
			if (slot->node[side])
				node_unref(slot->node[side]);
		free(slot);
	}
	node->prev->next = node->next;
	node->next->prev = node->prev;
	image_release(&node->image);
	free(node);
}

static void node_unref(struct sim_node *node)
{
	if (--node->refs == 0)
		node_free(node);
}

static struct sim_node *node_new(struct names *t, const char *path, bool is_dir)
{
	struct sim_node *node = calloc(1, sizeof(*node));

	KAGEFS_ASSERT(node);
	node->is_dir = is_dir;
	snprintf(node->path, sizeof(node->path), "%s", path);
	node->next = &t->all;
	node->prev = t->all.prev;
	node->prev->next = node->next->prev = node;
	return node;
}

void names_hold(struct names *t, struct sim_node *node)
{
	node->refs++;
	if (node->live++ == 0)
		t->nblocks += node->image.nblocks;
}

void names_drop(struct names *t, struct sim_node *node)
{
	if (--node->live == 0)
		t->nblocks -= node->image.nblocks;
	node_unref(node);
}

static void slot_set(struct names *t, struct name_slot *slot, enum image_side side, struct sim_node *node)
{
	struct sim_node *old = slot->node[side];

	slot->node[side] = node;
	if (node && side == NOW)
		names_hold(t, node);
	else if (node)
		node->refs++;
	if (old && side == NOW)
		names_drop(t, old);
	else if (old)
		node_unref(old);
}

void names_init(struct names *t)
{
	memset(t, 0, sizeof(*t));
	t->all.prev = t->all.next = &t->all;
	t->root = node_new(t, ".", true);
	names_hold(t, t->root);
}

static struct name_slot *slot_find(const struct sim_node *dir, const char *name, size_t len)
{
	for (struct name_slot *slot = dir->slots; slot; slot = slot->next)
		if (strncmp(slot->name, name, len) == 0 && !slot->name[len])
			return slot;
	return NULL;
}

static struct name_slot *slot_get(struct sim_node *dir, const char *name)
{
	struct name_slot *slot = slot_find(dir, name, strlen(name));

	if (slot)
		return slot;
	slot = calloc(1, sizeof(*slot) + strlen(name) + 1);
	KAGEFS_ASSERT(slot);
	strcpy(slot->name, name);
	slot->dir = dir;
	slot->next = dir->slots;
	dir->slots = slot;
	return slot;
}

/* The directory a path lies in, and the last component. */
static int find_parent(struct names *t, const char *path, struct sim_node **dir, const char **leaf)
{
	*dir = t->root;
	for (;;) {
		size_t len = strcspn(path, "/");
		struct name_slot *slot;

		if (!path[len])
			break;
		slot = slot_find(*dir, path, len);
		if (!slot || !slot->node[NOW])
			return -ENOENT;
		*dir = slot->node[NOW];
		if (!(*dir)->is_dir)
			return -ENOTDIR;
		path += len + 1;
	}
	*leaf = path;
	return 0;
}

int names_find(struct names *t, const char *path, struct sim_node **out)
{
	struct sim_node *dir;
	struct name_slot *slot;
	const char *leaf;
	int r;

	if (strcmp(path, ".") == 0) {
		*out = t->root;
		return 0;
	}
	r = find_parent(t, path, &dir, &leaf);
	if (r < 0)
		return r;
	slot = slot_find(dir, leaf, strlen(leaf));
	if (!slot || !slot->node[NOW])
		return -ENOENT;
	*out = slot->node[NOW];
	return 0;
}

static void change_set(struct name_change *c, int i, struct name_slot *slot, struct sim_node *after)
{
	c->slot[i] = slot;
	c->after[i] = after;
	slot->nchanges++;
	slot->dir->refs++;
	if (after)
		after->refs++;
}

static void change_apply(struct names *t, const struct name_change *c, enum image_side side)
{
	/* The new name first: the node must not run out of references in between. */
	for (int i = 1; i >= 0; i--)
		if (c->slot[i])
			slot_set(t, c->slot[i], side, c->after[i]);
}

static struct name_change *change_new(struct names *t, uint64_t seq)
{
	struct name_change *c = calloc(1, sizeof(*c));

	KAGEFS_ASSERT(c);
	c->seq = seq;
	if (t->last)
		t->last->next = c;
	else
		t->first = c;
	t->last = c;
	return c;
}

static void change_free(struct name_change *c)
{
	for (int i = 0; i < 2; i++) {
		struct sim_node *dir;

		if (!c->slot[i])
			continue;
		dir = c->slot[i]->dir;
		c->slot[i]->nchanges--;
		slot_tidy(c->slot[i]);
		if (c->after[i])
			node_unref(c->after[i]);
		node_unref(dir);
	}
	free(c);
}

int names_create(struct names *t, const char *path, bool is_dir, uint64_t seq, struct sim_node **out)
{
	struct sim_node *dir;
	struct name_change *c;
	struct name_slot *slot;
	const char *leaf;
	int r = find_parent(t, path, &dir, &leaf);

	if (r < 0)
		return r;
	slot = slot_get(dir, leaf);
	if (slot->node[NOW])
		return -EEXIST;
	*out = node_new(t, path, is_dir);
	c = change_new(t, seq);
	change_set(c, 0, slot, *out);
	change_apply(t, c, NOW);
	return 0;
}

int names_unlink(struct names *t, const char *path, uint64_t seq)
{
	struct sim_node *dir;
	struct name_change *c;
	struct name_slot *slot;
	const char *leaf;
	int r = find_parent(t, path, &dir, &leaf);

	if (r < 0)
		return r;
	slot = slot_find(dir, leaf, strlen(leaf));
	if (!slot || !slot->node[NOW])
		return -ENOENT;
	if (slot->node[NOW]->is_dir)
		return -EISDIR;
	c = change_new(t, seq);
	change_set(c, 0, slot, NULL);
	change_apply(t, c, NOW);
	return 0;
}

int names_rename(struct names *t, const char *from, const char *to, bool replace, uint64_t seq)
{
	struct sim_node *from_dir, *to_dir, *node, *old;
	struct name_slot *from_slot, *to_slot;
	struct name_change *c;
	const char *from_leaf, *to_leaf;
	int r = find_parent(t, from, &from_dir, &from_leaf);

	if (r == 0)
		r = find_parent(t, to, &to_dir, &to_leaf);
	if (r < 0)
		return r;
	from_slot = slot_find(from_dir, from_leaf, strlen(from_leaf));
	if (!from_slot || !from_slot->node[NOW])
		return -ENOENT;
	to_slot = slot_find(to_dir, to_leaf, strlen(to_leaf));
	node = from_slot->node[NOW];
	old = to_slot ? to_slot->node[NOW] : NULL;
	if (old && !replace)
		return -EEXIST;
	if (node->is_dir)
		return -EOPNOTSUPP;
	if (old == node)
		return 0;
	if (old && old->is_dir)
		return -EISDIR;
	c = change_new(t, seq);
	change_set(c, 0, from_slot, NULL);
	change_set(c, 1, slot_get(to_dir, to_leaf), node);
	change_apply(t, c, NOW);
	snprintf(node->path, sizeof(node->path), "%s", to);
	return 0;
}

char **names_list(const struct sim_node *dir)
{
	size_t n = 0;
	char **list;

	for (const struct name_slot *slot = dir->slots; slot; slot = slot->next)
		n++;
	list = calloc(n + 1, sizeof(*list));
	KAGEFS_ASSERT(list);
	n = 0;
	for (const struct name_slot *slot = dir->slots; slot; slot = slot->next) {
		if (!slot->node[NOW])
			continue;
		list[n] = strdup(slot->name);
		KAGEFS_ASSERT(list[n]);
		n++;
	}
	return list;
}

static bool touches(const struct name_change *c, const struct sim_node *dir)
{
	return c->slot[0]->dir == dir || (c->slot[1] && c->slot[1]->dir == dir);
}

static bool marked(const struct name_change *c)
{
	return c->slot[0]->mark || (c->slot[1] && c->slot[1]->mark);
}

static void set_mark(const struct name_change *c, bool mark)
{
	for (int i = 0; i < 2; i++)
		if (c->slot[i])
			c->slot[i]->mark = mark;
}

/* From the last change to the first: needed is what touches the directory or a slot that a later needed one touches. */
static void mark_needed(struct names *t, const struct sim_node *dir)
{
	struct name_change **order;
	size_t n = 0;

	for (struct name_change *c = t->first; c; c = c->next)
		n++;
	order = calloc(n + 1, sizeof(struct name_change *));
	KAGEFS_ASSERT(order);
	n = 0;
	for (struct name_change *c = t->first; c; c = c->next)
		order[n++] = c;
	while (n-- > 0) {
		order[n]->needed = touches(order[n], dir) || marked(order[n]);
		if (order[n]->needed)
			set_mark(order[n], true);
	}
	free(order);
}

void names_sync(struct names *t, const struct sim_node *dir)
{
	struct name_change *c = t->first, *stay = NULL, **end = &stay;

	mark_needed(t, dir);
	t->last = NULL;
	while (c) {
		struct name_change *next = c->next;

		set_mark(c, false);
		if (c->needed) {
			change_apply(t, c, DURABLE);
			change_free(c);
		} else {
			c->next = NULL;
			*end = t->last = c;
			end = &c->next;
		}
		c = next;
	}
	t->first = stay;
}

static bool survives(const struct name_change *c, const struct fate *fate)
{
	switch (fate->mode) {
	case FATE_ALL:
		return true;
	case FATE_NONE:
		return false;
	case FATE_PREFIX:
		return c->seq < fate->cut_seq;
	default:
		return sim_random(fate->random, 2);
	}
}

/* Every node, each with a reference, so that none goes away while all are walked. */
static struct sim_node **hold_all(struct names *t, size_t *n)
{
	struct sim_node **all, *node;

	*n = 0;
	for (node = t->all.next; node != &t->all; node = node->next)
		++*n;
	all = calloc(*n + 1, sizeof(struct sim_node *));
	KAGEFS_ASSERT(all);
	*n = 0;
	for (node = t->all.next; node != &t->all; node = node->next) {
		node->refs++;
		all[(*n)++] = node;
	}
	return all;
}

static void slot_revert(struct names *t, struct name_slot *slot)
{
	struct sim_node *node = slot->node[DURABLE];

	slot_set(t, slot, NOW, node);
	if (node && !node->is_dir)
		snprintf(node->path, sizeof(node->path), "%.*s%s%s", slot->dir == t->root ? 0 : IO_PATH_MAX,
			 slot->dir->path, slot->dir == t->root ? "" : "/", slot->name);
	slot_tidy(slot);
}

void names_settle(struct names *t, const struct fate *fate)
{
	struct sim_node **all;
	size_t n;

	for (struct name_change *c = t->first; c; c = c->next) {
		if (!marked(c) && survives(c, fate))
			change_apply(t, c, DURABLE);
		else
			set_mark(c, true);
	}
	while (t->first) {
		struct name_change *c = t->first;

		t->first = c->next;
		set_mark(c, false);
		change_free(c);
	}
	t->last = NULL;

	all = hold_all(t, &n);
	for (size_t i = 0; i < n; i++)
		for (struct name_slot *slot = all[i]->slots, *next; slot; slot = next) {
			next = slot->next;
			slot_revert(t, slot);
		}
	for (size_t i = 0; i < n; i++)
		node_unref(all[i]);
	free(all);
}

void names_release(struct names *t)
{
	while (t->first) {
		struct name_change *c = t->first;

		t->first = c->next;
		change_free(c);
	}
	names_drop(t, t->root);
}
