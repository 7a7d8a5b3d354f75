// A module with a parameter that code of its own handles: the code runs, and then refuses.
#include <linux/module.h>
#include <linux/moduleparam.h>

static int run(const char* value, const struct kernel_param* parameter) {
  pr_info("refused_module: code of the module ran\n");
  return -EINVAL;
}

static const struct kernel_param_ops kRun = {.set = run};
module_param_cb(run, &kRun, NULL, 0);

static int __init start(void) { return 0; }
static void __exit stop(void) {}
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
