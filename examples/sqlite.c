/* sqlite.c - a library that blocks, used by a hundred fibers: each writes to a database and reads
 * from it, while the worker goes on with the others.
 *
 *	sqlite FILE [FIBERS]
 *
 * Few connections serve many fibers: they are handed round in a channel. Between
 * fiber_blocking_begin and fiber_blocking_end the fiber runs on a helper thread, so SQLite may wait
 * for the disk, or for another connection's lock, in the middle of any call. */
#include <errno.h>
#include <fiber/chan.h>
#include <fiber/io.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECTIONS = 4 };

struct bank {
	const char *file;
	long fibers;
	sqlite3 *connection[CONNECTIONS];
	fiber_chan_t *free;
	long beats;
};

static int run_sql(sqlite3 *db, const char *sql, long number)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (r == SQLITE_OK) {
		sqlite3_bind_int64(statement, 1, number);
		r = sqlite3_step(statement);
		if (r == SQLITE_ROW)
			r = sqlite3_column_int64(statement, 0) == number ? SQLITE_DONE
									 : SQLITE_MISMATCH;
		sqlite3_finalize(statement);
	}
	if (r != SQLITE_DONE)
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
	return r == SQLITE_DONE ? 0 : -EIO;
}

/* On a helper thread: as one would write it without fibers. */
static int deposit(sqlite3 *db, long number)
{
	int r = run_sql(db, "INSERT INTO deposits VALUES (?1)", number);

	return r < 0 ? r : run_sql(db, "SELECT n FROM deposits WHERE n = ?1", number);
}

struct order {
	struct bank *bank;
	long number;
};

static int customer(void *arg)
{
	struct order *order = arg;
	sqlite3 *db;
	int r = fiber_chan_recv(order->bank->free, &db), back;

	if (r < 0)
		return r;
	r = fiber_blocking_begin();
	if (r == 0) {
		r = deposit(db, order->number);
		fiber_blocking_end();
	}
	back = fiber_chan_try_send(order->bank->free, &db); /* there is room for all */
	return r < 0 ? r : back;
}

/* On the same worker. It would stand still if a customer blocked it. */
static int beat(void *arg)
{
	struct bank *bank = arg;

	while (fiber_sleep(FIBER_MILLISECOND) == 0)
		bank->beats++;
	return 0;
}

static int open_connections(void *arg)
{
	struct bank *bank = arg;

	for (int i = 0; i < CONNECTIONS; i++) {
		if (sqlite3_open(bank->file, &bank->connection[i]) != SQLITE_OK)
			return -EIO;
		sqlite3_busy_timeout(bank->connection[i], 60000);
	}
	return sqlite3_exec(bank->connection[0], "PRAGMA journal_mode = WAL;"
			    "CREATE TABLE deposits (n INTEGER)", NULL, NULL, NULL) == SQLITE_OK
		       ? 0 : -EIO;
}

static int serve_customers(struct bank *bank)
{
	fiber_group_t group = FIBER_GROUP_INIT;

	for (int i = 0; i < CONNECTIONS; i++)
		fiber_chan_try_send(bank->free, &bank->connection[i]);
	for (long i = 1; i <= bank->fibers; i++) {
		struct order order = {bank, i};
		fiber_attr_t attr = {.copy_bytes = sizeof order};

		fiber_group_spawn(&group, &attr, customer, &order);
	}
	return fiber_group_wait(&group);
}

static int check(void *arg)
{
	struct bank *bank = arg;
	long n = bank->fibers;
	int r = run_sql(bank->connection[0], "SELECT sum(n) FROM deposits", n * (n + 1) / 2);

	for (int i = 0; i < CONNECTIONS; i++)
		sqlite3_close(bank->connection[i]);
	return r;
}

static int first(void *arg)
{
	struct bank *bank = arg;
	fiber_t ticker;
	int r = fiber_chan_create(&bank->free, sizeof(sqlite3 *), CONNECTIONS);

	if (r < 0 || (r = fiber_offload(open_connections, bank)) < 0)
		return r;
	r = fiber_spawn(&ticker, NULL, beat, bank);
	if (r < 0)
		return r;
	r = serve_customers(bank);
	fiber_cancel(ticker);
	fiber_join(ticker, NULL);
	fiber_chan_free(bank->free);
	return r < 0 ? r : fiber_offload(check, bank);
}

int main(int argc, char **argv)
{
	struct bank bank = {.file = argc > 1 ? argv[1] : ":memory:",
			    .fibers = argc > 2 ? atol(argv[2]) : 100};
	int r;

	if (argc < 2) {
		fprintf(stderr, "usage: sqlite FILE [FIBERS]\n");
		return 2;
	}
	r = fiber_run(&(fiber_options_t){.workers = 1}, first, &bank);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", bank.file, fiber_strerror(r));
		return 1;
	}
	printf("%ld deposits, %ld beats meanwhile\n", bank.fibers, bank.beats);
	return 0;
}
