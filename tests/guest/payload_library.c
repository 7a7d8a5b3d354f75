/* Says "ran" as soon as it is loaded. la_version makes it an audit library too. */
__attribute__((constructor)) static void loaded(void) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(1L), "D"(1L), "S"("ran\n"), "d"(4L)
                   : "rcx", "r11", "memory");
}
unsigned la_version(unsigned version) { return version; }
