# make            build into build/release
# make demo       the whole story on this machine, in a few minutes (root)
# make test       set up, build, all tests (those in QEMU guests too), a short fuzz run (root)
# make guest      only the tests in QEMU guests
# make check      format, headers, rooms, clang-tidy, tests with sanitizers (root)
# make fuzz       every fuzz target for FUZZ_SECONDS (600)
# make install    to DESTDIR/prefix
.PHONY: all setup setup-check build man demo test guest check check-static asan tsan fuzz install clean
FUZZ_SECONDS ?= 600
TEST_FUZZ_SECONDS ?= 30
TEST_FUZZ_RUNS ?= 20000
CTEST := ctest --output-on-failure --timeout 1800
# A guest keeps one core busy.
GUEST_JOBS ?= $(shell nproc)

all: build

setup:
	@scripts/setup
setup-check:
	@scripts/setup --check

build: setup
	cmake --preset release >/dev/null
	ninja -C build/release

demo: build
	@scripts/demo

test: setup-check build
	FUZZ_RUNS=$(TEST_FUZZ_RUNS) scripts/fuzz $(TEST_FUZZ_SECONDS)
	$(CTEST) --test-dir build/release -LE guest
	$(CTEST) --test-dir build/release -L guest -j $(GUEST_JOBS)

guest: build
	scripts/setup --guest
	$(CTEST) --test-dir build/release -L guest -j $(GUEST_JOBS)

check: setup-check check-static asan tsan
check-static:
	scripts/check-format
	scripts/check-rooms
	scripts/check-headers
	shellcheck -x scripts/* tests/e2e/* tests/guest/*.sh tests/guest/features tests/guest/boot-data tests/guest/harness-test \
	  tests/guest/predict bench/run bench/*.sh .ci/run packaging/initramfs/hooks/* packaging/initramfs/scripts/*/*
	scripts/check-tidy
asan: setup-check
	cmake --preset asan >/dev/null && ninja -C build/asan
	$(CTEST) --test-dir build/asan
tsan: setup-check
	cmake --preset tsan >/dev/null && ninja -C build/tsan
	$(CTEST) --test-dir build/tsan

fuzz: setup-check
	scripts/fuzz $(FUZZ_SECONDS)

install: build
	cmake --install build/release
clean:
	rm -rf build
