/* executed.c - a plugin for qemu-user: how often each instruction was executed, for counts.py where
 * there is no callgrind.
 *
 * Debian installs no header for plugins; what is used of their interface, version 1, is declared
 * here. Prints "address count" lines, hexadecimal, when the program ends. The counters are plain:
 * the programs counted have one thread that runs. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef uint64_t plugin_id;
struct block;
struct instruction;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct block *);
struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct instruction *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct instruction *, int add, uint64_t *,
						uint64_t);
void qemu_plugin_outs(const char *);

__attribute__((__visibility__("default"))) int qemu_plugin_version = 1;

enum { ADD = 0, MOST = 1 << 20 };

/* By address, open addressing; a page's instructions lie side by side. */
static struct counter {
	uint64_t address, count;
} counters[MOST];

static uint64_t *counter_of(uint64_t address)
{
	size_t i = address / 4 % MOST;

	while (counters[i].address && counters[i].address != address)
		i = (i + 1) % MOST;
	counters[i].address = address;
	return &counters[i].count;
}

static void translated(plugin_id id, struct block *block)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
		struct instruction *one = qemu_plugin_tb_get_insn(block, i);

		qemu_plugin_register_vcpu_insn_exec_inline(
			one, ADD, counter_of(qemu_plugin_insn_vaddr(one)), 1);
	}
}

static void at_exit(plugin_id id, void *unused)
{
	char line[64];

	(void)id, (void)unused;
	for (size_t i = 0; i < MOST; i++)
		if (counters[i].count) {
			snprintf(line, sizeof line, "%" PRIx64 " %" PRIu64 "\n",
				 counters[i].address, counters[i].count);
			qemu_plugin_outs(line);
		}
}

__attribute__((__visibility__("default"))) int
qemu_plugin_install(plugin_id id, const void *about, int count, char **arguments)
{
	(void)about, (void)count, (void)arguments;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
