/* Lists of path sets, and what of them is at the far end already. */
#include <string.h>

#include "base/mem.h"
#include "daemon/unite.h"
#include "store/record.h"
#include "support/check.h"
#include "support/spy.h"
#include "support/subject.h"

static struct error err;

/* "321" : the sets 3, 2, 1, most recent first. */
static struct buf
list_of(const char *numbers)
{
	struct path_sets sets = { .count = 0 };
	struct buf list = BUF_INIT;

	for (size_t i = strlen(numbers); i > 0; i--) {
		auto_buf data = BUF_INIT;
		auto_buf hint = BUF_INIT;
		struct digest name;

		buf_addf(&data, "%c", numbers[i - 1]);
		digest_bytes(&name, data.data, data.len);
		path_sets_push(&sets, &name, &data, &hint);
	}
	path_sets_encode(&sets, &list);
	path_sets_release(&sets);
	return list;
}

static const char *
numbers_in(const struct buf *list)
{
	static char numbers[PATH_SETS + 1];
	struct path_sets sets = { .count = 0 };

	if (list->len == 0)
		return "as it is";
	check_int(path_sets_decode(&sets, list->data, list->len, &err), 0);
	for (size_t i = 0; i < sets.count; i++)
		numbers[i] = sets.item[i].data.data[0];
	numbers[sets.count] = '\0';
	path_sets_release(&sets);
	return numbers;
}

static struct digest
numbered(unsigned char n)
{
	return (struct digest){ { n } };
}

static void
put_far(struct subject *s, unsigned char n, const char *data, size_t size)
{
	struct key key = { KEY_INDEX, numbered(n) };

	check_int(put(s->loc, &key, data, size, WRITE_REPLACE), STORED);
}

static const struct {
	const char *own, *far, *united; /* NULL: there already */
} table[] = {
	{ "1", "", "as it is" },
	{ "1", "damaged", "as it is" },
	{ "1", "2", "12" },
	{ "1", "21", "12" },
	{ "12", "12", NULL },
	{ "1", "12", NULL },
	{ "1", "1", NULL },
	{ "31", "2145", "31245" },
	{ "123456789abcdefg", "xyz", "123456789abcdefg" },
	{ "no list", "12", "as it is" },
};
#define COUNT (sizeof(table) / sizeof(*table))

static void
offer(struct subject *s, struct unite *lists, struct buf *own)
{
	for (size_t i = 0; i < COUNT; i++) {
		auto_buf far = list_of(table[i].far);

		own[i] = list_of(table[i].own);
		if (strcmp(table[i].own, "no list") == 0)
			own[i].data[own[i].len / 2] ^= 1;
		if (strcmp(table[i].far, "damaged") == 0)
			far.data[far.len / 2] ^= 1;
		if (table[i].far[0])
			put_far(s, (unsigned char)i, far.data, far.len);
		lists[i] = (struct unite){ .key = numbered((unsigned char)i),
			.in = source_memory(own[i].data, own[i].len),
			.value = BUF_INIT };
	}
	(void)spy_log();
}

static void
release(struct unite *lists, struct buf *own)
{
	for (size_t i = 0; i < COUNT; i++) {
		source_close(lists[i].in);
		buf_release(&lists[i].value);
		buf_release(&own[i]);
	}
}

Test(unite, what_only_the_far_end_has_comes_behind)
{
	struct unite lists[COUNT];
	struct buf own[COUNT];
	struct subject s;

	subject_open(&s, "spied(a)");
	offer(&s, lists, own);
	check_int(unite_lists(s.loc, lists, COUNT, &err), 0);
	check_str(spy_log(), "a.read(0 1 2 3 4 5 6 7 8)");
	for (size_t i = 0; i < COUNT; i++) {
		char first;

		check_int(lists[i].there, table[i].united == NULL);
		if (table[i].united)
			check_str(numbers_in(&lists[i].value), table[i].united);
		check_int(source_read(lists[i].in, &first, 1, &err), 1);
		check(first == own[i].data[0]); /* it was rewound */
	}
	release(lists, own);
	subject_close(&s);
}

Test(unite, nothing_is_known_of_who_is_away)
{
	struct unite lists[COUNT];
	struct buf own[COUNT];
	struct subject s;

	subject_open(&s, "spied(a)");
	offer(&s, lists, own);
	subject_spy(&s, 0)->fails = true;
	check_int(unite_lists(s.loc, lists, COUNT, &err), -1);
	check_int(err.kind, ERROR_UNREACHABLE);
	for (size_t i = 0; i < COUNT; i++)
		check(!lists[i].there && lists[i].value.len == 0);
	release(lists, own);
	subject_close(&s);
}
