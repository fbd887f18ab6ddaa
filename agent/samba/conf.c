/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and writing of the ini format, and the small lists it needs. */
#include "agent/samba/conf.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/rpc/utf16.h"

/* Where Samba keeps shares in its registry. */
#define REGISTRY_SHARES "HKEY_LOCAL_MACHINE\\SOFTWARE\\Samba\\smbconf\\"

static void section_release(struct conf_section *s)
{
	for (size_t i = 0; i < s->nparams; i++) {
		free(s->params[i].key);
		free(s->params[i].value);
	}
	free(s->params);
	free(s->name);
}

void conf_release(struct conf *c)
{
	for (size_t i = 0; i < c->nsections; i++)
		section_release(&c->sections[i]);
	free(c->sections);
	memset(c, 0, sizeof(*c));
}

struct conf_section *conf_find(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->nsections; i++)
		if (utf8_casecmp(c->sections[i].name, name) == 0)
			return &c->sections[i];
	return NULL;
}

static struct conf_param *find_param(const struct conf_section *s, const char *key)
{
	for (size_t i = 0; i < s->nparams; i++)
		if (strcasecmp(s->params[i].key, key) == 0)
			return &s->params[i];
	return NULL;
}

const char *conf_get(const struct conf_section *s, const char *key)
{
	const struct conf_param *p = find_param(s, key);

	return p ? p->value : NULL;
}

int conf_add(struct conf *c, const char *name, struct conf_section **out)
{
	struct conf_section *sections;
	char *copy;

	if (c->nsections >= CONF_SECTIONS_MAX)
		return -EFBIG;
	copy = strdup(name);
	sections = copy ? realloc(c->sections, (c->nsections + 1) * sizeof(*sections)) : NULL;
	if (!sections) {
		free(copy);
		return -ENOMEM;
	}
	c->sections = sections;
	sections[c->nsections] = (struct conf_section){ .name = copy };
	*out = &sections[c->nsections++];
	return 0;
}

int conf_set(struct conf_section *s, const char *key, const char *value)
{
	struct conf_param *p = find_param(s, key), *params;
	CLEANUP_FREE char *key_copy = p ? NULL : strdup(key);
	CLEANUP_FREE char *value_copy = strdup(value);

	if (!value_copy || (!p && !key_copy))
		return -ENOMEM;
	if (!p) {
		params = realloc(s->params, (s->nparams + 1) * sizeof(*params));
		if (!params)
			return -ENOMEM;
		s->params = params;
		p = &params[s->nparams++];
		*p = (struct conf_param){ .key = steal_ptr(&key_copy) };
	}
	free(p->value);
	p->value = steal_ptr(&value_copy);
	return 0;
}

void conf_remove(struct conf *c, struct conf_section *s)
{
	size_t at = (size_t)(s - c->sections);

	section_release(s);
	memmove(s, s + 1, (c->nsections - at - 1) * sizeof(*s));
	c->nsections--;
}

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

static int parse_line(struct conf *c, char *line)
{
	struct conf_section *section;
	char *equals;

	line = trim(line);
	if (*line == '[') {
		char *end = strrchr(line, ']');

		if (!end)
			return 0;
		*end = '\0';
		return conf_add(c, trim(line + 1), &section);
	}
	equals = strchr(line, '=');
	if (!equals || *line == '#' || *line == ';' || c->nsections == 0)
		return 0;
	*equals = '\0';
	return conf_set(&c->sections[c->nsections - 1], trim(line), trim(equals + 1));
}

int conf_parse(const char *text, struct conf *out)
{
	CLEANUP_FREE char *copy = strdup(text);
	char *line, *rest = copy;
	int err = copy ? 0 : -ENOMEM;

	memset(out, 0, sizeof(*out));
	while (!err && (line = strsep(&rest, "\n")))
		err = parse_line(out, line);
	if (err)
		conf_release(out);
	return err;
}

int conf_load(const char *path, struct conf *out)
{
	CLEANUP_FREE char *text = NULL;
	FILE *f = fopen(path, "re");
	size_t cap = 0;
	int err = 0;

	memset(out, 0, sizeof(*out));
	if (!f)
		return -errno;
	if (getdelim(&text, &cap, '\0', f) < 0) { /* then text is not terminated */
		err = ferror(f) ? -EIO : 0;
		free(steal_ptr(&text));
	}
	fclose(f);
	return err ? err : conf_parse(text ? text : "", out);
}

bool conf_value_ok(const char *value)
{
	size_t len = strlen(value);

	if (strpbrk(value, "\r\n"))
		return false;
	return len == 0 || (!isspace((unsigned char)value[0]) && !isspace((unsigned char)value[len - 1]) && value[len - 1] != '\\');
}

static bool name_ok(const char *name)
{
	return *name && conf_value_ok(name) && !strchr(name, ']') && !strchr(name, '[');
}

static bool section_ok(const struct conf_section *s)
{
	bool ok = name_ok(s->name);

	for (size_t i = 0; i < s->nparams; i++)
		ok = ok && conf_value_ok(s->params[i].key) && conf_value_ok(s->params[i].value);
	return ok;
}

static void print_section(FILE *f, const struct conf_section *s)
{
	fprintf(f, "[%s]\n", s->name);
	for (size_t i = 0; i < s->nparams; i++)
		fprintf(f, "\t%s = %s\n", s->params[i].key, s->params[i].value);
	fputc('\n', f);
}

static void print_quoted(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++)
		fprintf(f, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	fputc('"', f);
}

static void print_key(FILE *f, const struct conf_section *s, bool there)
{
	if (there)
		fprintf(f, "[-" REGISTRY_SHARES "%s]\n\n", s->name);
	fprintf(f, "[" REGISTRY_SHARES "%s]\n", s->name);
	for (size_t i = 0; i < s->nparams; i++) {
		print_quoted(f, s->params[i].key);
		fputc('=', f);
		print_quoted(f, s->params[i].value);
		fputc('\n', f);
	}
	fputc('\n', f);
}

/* there NULL: as smb.conf; else as a registry file. */
static int format(const struct conf *c, const struct conf *there, char **out)
{
	char *text = NULL;
	size_t size = 0;
	bool ok = true;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return -ENOMEM;
	if (there)
		fputs("Windows Registry Editor Version 5.00\n\n", f);
	for (size_t i = 0; i < c->nsections; i++) {
		const struct conf_section *s = &c->sections[i];

		ok = ok && section_ok(s);
		if (there)
			print_key(f, s, conf_find(there, s->name));
		else
			print_section(f, s);
	}
	if (fclose(f) != 0 || !ok) {
		free(text);
		return ok ? -ENOMEM : -EINVAL;
	}
	*out = text;
	return 0;
}

int conf_format(const struct conf *c, char **out)
{
	return format(c, NULL, out);
}

int conf_format_registry(const struct conf *c, const struct conf *there, char **out)
{
	return format(c, there, out);
}
