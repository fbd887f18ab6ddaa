/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keeping the lists of a set. */
#include "agent/fsrvp/set.h"

#include <stdio.h>
#include <string.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/rpc/utf16.h"

int shadow_set_new(const struct guid *id, uint32_t context, struct shadow_set **out)
{
	struct shadow_set *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->id = *id;
	s->status = SET_STARTED;
	s->context = context;
	*out = s;
	return 0;
}

static void mapping_release(struct shadow_mapping *m)
{
	free(m->share);
	free(m->rel);
}

static void copy_release(struct shadow_copy *c)
{
	for (unsigned i = 0; i < c->nmappings; i++)
		mapping_release(&c->mappings[i]);
	free(c->mappings);
	free(c->nested);
	free(c->root);
	free(c->snapshot);
}

void shadow_set_free(struct shadow_set *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->ncopies; i++)
		copy_release(&s->copies[i]);
	free(s->copies);
	free(s->creator);
	free(s);
}

bool shadow_set_is_persistent(const struct shadow_set *s)
{
	return s->keep || (s->context & FSRVP_ATTR_PERSISTENT);
}

bool shadow_set_is_writable(const struct shadow_set *s)
{
	return (s->context & FSRVP_ATTR_AUTO_RECOVERY) != 0;
}

struct shadow_copy *shadow_set_copy(struct shadow_set *s, const struct guid *id)
{
	for (unsigned i = 0; i < s->ncopies; i++)
		if (guid_equal(&s->copies[i].id, id))
			return &s->copies[i];
	return NULL;
}

struct shadow_copy *shadow_set_volume(struct shadow_set *s, uint64_t volume)
{
	for (unsigned i = 0; i < s->ncopies; i++)
		if (s->copies[i].volume == volume)
			return &s->copies[i];
	return NULL;
}

struct shadow_mapping *shadow_copy_mapping(struct shadow_copy *c, const char *share)
{
	for (unsigned i = 0; i < c->nmappings; i++)
		if (utf8_casecmp(c->mappings[i].share, share) == 0)
			return &c->mappings[i];
	return NULL;
}

static bool is_nested(const struct shadow_copy *c, uint64_t volume)
{
	for (unsigned i = 0; i < c->nnested; i++)
		if (c->nested[i] == volume)
			return true;
	return false;
}

bool shadow_set_wants(struct shadow_set *s, uint64_t volume)
{
	for (unsigned i = 0; i < s->ncopies; i++)
		if (s->copies[i].volume == volume || is_nested(&s->copies[i], volume))
			return true;
	return false;
}

/* Whether a copy before this one has it below its own. */
static bool is_repeated(const struct shadow_set *s, unsigned copy, uint64_t volume)
{
	for (unsigned i = 0; i < copy; i++)
		if (is_nested(&s->copies[i], volume))
			return true;
	return false;
}

unsigned shadow_set_volumes(struct shadow_set *s, uint64_t *volumes, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->ncopies; i++, n++)
		if (n < max)
			volumes[n] = s->copies[i].volume;
	for (unsigned i = 0; i < s->ncopies; i++) {
		const struct shadow_copy *c = &s->copies[i];

		for (unsigned j = 0; j < c->nnested; j++) {
			if (shadow_set_volume(s, c->nested[j]) || is_repeated(s, i, c->nested[j]))
				continue;
			if (n < max)
				volumes[n] = c->nested[j];
			n++;
		}
	}
	return n;
}

bool shadow_set_has_share(struct shadow_set *s, const char *share)
{
	for (unsigned i = 0; i < s->ncopies; i++)
		if (shadow_copy_mapping(&s->copies[i], share))
			return true;
	return false;
}

int shadow_set_add_copy(struct shadow_set *s, const struct guid *id, uint64_t volume, const char *root,
			struct shadow_copy **out)
{
	struct shadow_copy *copies, c = { .id = *id, .volume = volume };

	if (s->ncopies == SET_COPIES_MAX)
		return -ENOSPC;
	c.root = strdup(root);
	copies = c.root ? realloc(s->copies, (s->ncopies + 1) * sizeof(*copies)) : NULL;
	if (!copies) {
		free(c.root);
		return -ENOMEM;
	}
	s->copies = copies;
	copies[s->ncopies] = c;
	*out = &copies[s->ncopies++];
	return 0;
}

int shadow_set_add_nested(struct shadow_set *s, struct shadow_copy *c, const uint64_t *volumes, unsigned n)
{
	unsigned before = c->nnested;
	uint64_t *more;

	if (n == 0)
		return 0;
	more = realloc(c->nested, (c->nnested + n) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	c->nested = more;
	for (unsigned i = 0; i < n; i++)
		if (!is_nested(c, volumes[i]))
			more[c->nnested++] = volumes[i];
	if (shadow_set_volumes(s, NULL, 0) <= SET_COPIES_MAX)
		return 0;
	c->nnested = before;
	return -ENOSPC;
}

int shadow_set_add_mapping(struct shadow_set *s, struct shadow_copy *c, const char *share, const char *rel)
{
	struct shadow_mapping *mappings, m;

	if (s->nmappings == SET_MAPPINGS_MAX)
		return -ENOSPC;
	m.share = strdup(share);
	m.rel = strdup(rel);
	mappings = m.share && m.rel ? realloc(c->mappings, (c->nmappings + 1) * sizeof(*mappings)) : NULL;
	if (!mappings) {
		mapping_release(&m);
		return -ENOMEM;
	}
	c->mappings = mappings;
	mappings[c->nmappings++] = m;
	s->nmappings++;
	return 0;
}

void shadow_set_remove_mapping(struct shadow_set *s, struct shadow_copy *c, struct shadow_mapping *m)
{
	size_t at = (size_t)(m - c->mappings);

	mapping_release(m);
	memmove(m, m + 1, (c->nmappings - at - 1) * sizeof(*m));
	c->nmappings--;
	s->nmappings--;
}

void shadow_set_remove_copy(struct shadow_set *s, struct shadow_copy *c)
{
	size_t at = (size_t)(c - s->copies);

	s->nmappings -= c->nmappings;
	copy_release(c);
	memmove(c, c + 1, (s->ncopies - at - 1) * sizeof(*c));
	s->ncopies--;
}

char *shadow_share_name(const struct shadow_copy *c, const struct shadow_mapping *m)
{
	char id[GUID_TEXT_SIZE], *name;
	size_t len = strlen(m->share);

	guid_format(&c->id, id);
	/* [MS-FSRVP] 3.1.4.6 and its note 9: a hidden share's copy is hidden as well. */
	if (asprintf(&name, "%s@{%s}%s", m->share, id, len && m->share[len - 1] == '$' ? "$" : "") < 0)
		return NULL;
	return name;
}

char *shadow_share_path(const struct shadow_copy *c, const struct shadow_mapping *m)
{
	const char *root = strcmp(c->root, "/") == 0 ? "" : c->root;
	char *path;

	if (!c->snapshot || asprintf(&path, "%s/.snapshots/%s%s%s", root, c->snapshot, *m->rel ? "/" : "", m->rel) < 0)
		return NULL;
	return path;
}
