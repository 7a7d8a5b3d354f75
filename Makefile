# make            build the programs into build/release
# make demo       the whole story on this machine, in a few minutes (root)
# make test       set up, build, all tests (those in QEMU guests too), a short fuzz run (root)
# make test-unit  only the unit tests: no root, no guest, no network, under two minutes after a build
# make guest      only the tests in QEMU guests
# make guest-matrix  all of them, on each of Linux 6.1, 6.12 and 7.3, and every way of getting code to run: over an hour
# make check      format, headers, rooms, clang-tidy, tests with sanitizers (root)
# make fuzz       every fuzz target for FUZZ_SECONDS (600)
# make install    to DESTDIR/prefix; make uninstall takes away what the last one installed
# make deb        Debian packages, into build/deb; make repo: an apt repository of them in REPO, signed with a key in REPO_KEY
.PHONY: all setup setup-check build build-tests demo test test-unit guest guest-matrix check check-static asan tsan fuzz install uninstall deb repo clean
FUZZ_SECONDS ?= 600
TEST_FUZZ_SECONDS ?= 30
TEST_FUZZ_RUNS ?= 20000
CTEST := ctest --output-on-failure --timeout 1800
UNIT_JOBS ?= $(shell nproc)
# A guest keeps one core busy.
GUEST_JOBS ?= $(shell nproc)

all: build

setup:
	@scripts/setup
setup-check:
	@scripts/setup --check

build: setup
	cmake --preset release -DBUILD_TESTING=OFF >/dev/null
	ninja -C build/release

build-tests: setup-check
	cmake --preset release -DBUILD_TESTING=ON >/dev/null
	ninja -C build/release

demo: build
	@scripts/demo

# Each layer is a command of its own, so that CI's log tells what each took.
test: build-tests
	scripts/layer fuzz env FUZZ_RUNS=$(TEST_FUZZ_RUNS) scripts/fuzz $(TEST_FUZZ_SECONDS)
	scripts/layer unit $(CTEST) --test-dir build/release -L unit -j $(UNIT_JOBS)
	scripts/layer root $(CTEST) --test-dir build/release -LE 'unit|guest'
	scripts/layer guest $(CTEST) --test-dir build/release -L guest -j $(GUEST_JOBS)
	@scripts/layer

test-unit: build-tests
	$(CTEST) --test-dir build/release -L unit -j $(UNIT_JOBS)

guest: build-tests
	$(CTEST) --test-dir build/release -L guest -j $(GUEST_JOBS)

guest-matrix: build-tests
	scripts/guest prepare
	scripts/guest cases --matrix --budget 14400 --results build/guest/matrix
	tests/guest/coverage build/release/bin --check --kernel 6.12
	tests/guest/coverage build/release/bin --check --kernel 7.3

check: setup-check check-static asan tsan
check-static:
	scripts/check-format
	scripts/check-rooms
	scripts/check-codes
	scripts/check-size
	scripts/check-headers
	scripts/check-python
	shellcheck -x $(filter-out scripts/check-rooms scripts/check-codes scripts/check-size scripts/check-examples,$(wildcard scripts/*)) $(filter-out %.cc %.py,$(wildcard tests/e2e/*)) tests/guest/*.sh tests/guest/features tests/guest/boot-data tests/guest/harness-test \
	  tests/guest/predict bench/run bench/*.sh .ci/run packaging/initramfs/hooks/* packaging/initramfs/scripts/*/* debian/*inst debian/*rm \
	  debian/tests/command debian/tests/library debian/tests/attester tests/packages
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
	cmake --install build/release --strip
# Configuration, keys and state are not the installation's, and stay.
uninstall:
	@test -r build/release/install_manifest.txt || { echo "uninstall: build/release has no install_manifest.txt: nothing was installed from here" >&2; exit 1; }
	@while read -r file || [ -n "$$file" ]; do rm -fv -- "$(DESTDIR)$$file"; done < build/release/install_manifest.txt
REPO ?= build/repo
REPO_KEY ?= build/repo-key
deb:
	scripts/deb
repo:
	scripts/repo --packages build/deb --key $(REPO_KEY) $(REPO)
clean:
	rm -rf build
