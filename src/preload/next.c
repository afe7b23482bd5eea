#include "preload/observe.h"

#include <elf.h>
#include <link.h>
#include <string.h>

struct search {
	const char *name;
	uint32_t hash;
	bool past_us;
	uintptr_t found;
	const char *own_path;
};

struct tables {
	const uint32_t *hash;
	const ElfW(Sym) * symbols;
	const char *strings;
	const uint16_t *versions;
};

static uint32_t
name_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* The loader has added the base to these, except for the kernel's object. */
static const void *
table_at(const struct dl_phdr_info *object, uintptr_t value)
{
	uintptr_t base = object->dlpi_addr;

	// NOLINTNEXTLINE(performance-no-int-to-ptr)
	return (const void *)(value < base ? value + base : value);
}

static bool
tables_find(struct tables *t, const struct dl_phdr_info *object)
{
	const ElfW(Dyn) *d = NULL;

	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			// NOLINTNEXTLINE(performance-no-int-to-ptr)
			d = (const void *)(object->dlpi_addr +
			    object->dlpi_phdr[i].p_vaddr);
	*t = (struct tables){ 0 };
	for (; d && d->d_tag != DT_NULL; d++) {
		const void *at = table_at(object, d->d_un.d_ptr);

		switch (d->d_tag) {
		case DT_GNU_HASH: t->hash = at; break;
		case DT_SYMTAB: t->symbols = at; break;
		case DT_STRTAB: t->strings = at; break;
		case DT_VERSYM: t->versions = at; break;
		}
	}
	return t->hash && t->symbols && t->strings;
}

/* The default version of a function; 0x8000 marks the ones kept for programs
 * that were linked long ago. */
static bool
symbol_fits(const struct tables *t, uint32_t i, const char *name)
{
	const ElfW(Sym) *s = &t->symbols[i];

	return s->st_shndx != SHN_UNDEF &&
	    ELF64_ST_TYPE(s->st_info) == STT_FUNC &&
	    !(t->versions && t->versions[i] & 0x8000) &&
	    strcmp(t->strings + s->st_name, name) == 0;
}

static const ElfW(Sym) *
    symbol_find(const struct tables *t, const struct search *s)
{
	uint32_t buckets = t->hash[0], first = t->hash[1], words = t->hash[2];
	const uint32_t *bucket = t->hash + 4 + 2 * (size_t)words;
	const uint32_t *chain = bucket + buckets;
	uint32_t i = buckets ? bucket[s->hash % buckets] : 0;

	for (; i >= first && i != 0; i++) {
		uint32_t hash = chain[i - first];

		if ((hash | 1) == (s->hash | 1) && symbol_fits(t, i, s->name))
			return &t->symbols[i];
		if (hash & 1)
			break;
	}
	return NULL;
}

static bool
object_is_ours(const struct dl_phdr_info *object)
{
	uintptr_t here = (uintptr_t)&object_is_ours;

	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && here - start < p->p_memsz)
			return true;
	}
	return false;
}

static int
search_object(struct dl_phdr_info *object, size_t size, void *context)
{
	struct search *s = context;
	const ElfW(Sym) * symbol;
	struct tables t;

	if (!s->past_us) {
		s->past_us = object_is_ours(object);
		if (s->past_us)
			s->own_path = object->dlpi_name;
		return s->past_us && !s->name;
	}
	if (!tables_find(&t, object))
		return 0;
	symbol = symbol_find(&t, s);
	if (!symbol)
		return 0;
	s->found = object->dlpi_addr + symbol->st_value;
	return 1;
}

next_function *
next_find(struct next *n)
{
	next_function *f = __atomic_load_n(&n->function, __ATOMIC_RELAXED);
	struct search s = { n->name, name_hash(n->name), false, 0, NULL };

	if (f)
		return f;
	dl_iterate_phdr(search_object, &s);
	if (!s.found) /* nobody calls what the C library does not have */
		__builtin_trap();
	memcpy(&f, &s.found, sizeof(f));
	__atomic_store_n(&n->function, f, __ATOMIC_RELAXED);
	return f;
}

const char *
next_own_path(void)
{
	struct search s = { 0 };

	dl_iterate_phdr(search_object, &s);
	return s.own_path ? s.own_path : "";
}
