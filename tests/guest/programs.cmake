# Programs that only the guests' tests use.
add_executable(assay-engine ${CMAKE_CURRENT_LIST_DIR}/engine_main.cc)
target_link_libraries(assay-engine assay_measure_choice)

# Ways of getting code to run, and what they run. Built with flags of their own: some payloads have no library at all.
set(ways_dir ${CMAKE_CURRENT_LIST_DIR})
set(ways_out ${CMAKE_CURRENT_BINARY_DIR}/ways)
file(MAKE_DIRECTORY ${ways_out})
set(payload_program_flags -static -nostdlib -ffreestanding -Wl,--build-id=none)
set(payload_dynamic_flags)
set(payload_library_flags -shared -fPIC -nostdlib)
foreach(payload program dynamic library)
  add_custom_command(
    OUTPUT ${ways_out}/payload_${payload}
    COMMAND ${CMAKE_C_COMPILER} -O2 -s -fno-stack-protector -Wall -Wextra -Werror ${payload_${payload}_flags}
            ${ways_dir}/payload_${payload}.c -o ${ways_out}/payload_${payload}
    DEPENDS ${ways_dir}/payload_${payload}.c
    VERBATIM)
  list(APPEND payloads ${ways_out}/payload_${payload})
endforeach()
set(ways_sources ${ways_dir}/ways.c ${ways_dir}/ways_exec.c ${ways_dir}/ways_interpreters.c ${ways_dir}/ways_writers.c
    ${ways_dir}/ways_memory.c ${ways_dir}/ways_kernel.c ${ways_dir}/ways_unasked.c ${ways_dir}/ways_fuse.c
    ${ways_dir}/ways_uring.c ${ways_dir}/../hostile_fuse.c)
add_custom_command(
  OUTPUT ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/ways
  COMMAND ${CMAKE_C_COMPILER} -O1 -Wall -Wextra -Werror -Wno-unused-result
          -D_FILE_OFFSET_BITS=64 -DPAYLOAD_PROGRAM="${ways_out}/payload_program" -DPAYLOAD_DYNAMIC="${ways_out}/payload_dynamic"
          -DPAYLOAD_LIBRARY="${ways_out}/payload_library" ${ways_sources}
          -o ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/ways -Wl,-Bstatic -lcrypto -Wl,-Bdynamic -ldl -lpthread
  DEPENDS ${ways_sources} ${ways_dir}/ways.h ${ways_dir}/../hostile_fuse.h ${payloads}
  VERBATIM)
add_custom_target(ways ALL DEPENDS ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/ways)
add_custom_command(
  OUTPUT ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/storm
  COMMAND ${CMAKE_C_COMPILER} -O2 -Wall -Wextra -Werror -DPAYLOAD_PROGRAM="${ways_out}/payload_program"
          -DPAYLOAD_LIBRARY="${ways_out}/payload_library" ${ways_dir}/storm.c
          -o ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/storm -Wl,-Bstatic -lcrypto -Wl,-Bdynamic -ldl -lpthread
  DEPENDS ${ways_dir}/storm.c ${payloads}
  VERBATIM)
add_custom_target(storm ALL DEPENDS ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/storm)
add_executable(neighbour ${CMAKE_CURRENT_LIST_DIR}/neighbour.c)
target_link_libraries(neighbour bpf)
# What the cases of rootkits.test install.
add_custom_command(
  OUTPUT ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/rootkit_syslogd ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/rootkit_preload.so
  COMMAND ${CMAKE_C_COMPILER} -O2 -s -Wall -Wextra -Werror ${ways_dir}/rootkit_syslogd.c
          -o ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/rootkit_syslogd
  COMMAND ${CMAKE_C_COMPILER} -O2 -s -Wall -Wextra -Werror -shared -fPIC ${ways_dir}/rootkit_preload.c
          -o ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/rootkit_preload.so
  DEPENDS ${ways_dir}/rootkit_syslogd.c ${ways_dir}/rootkit_preload.c
  VERBATIM)
add_custom_target(rootkits ALL DEPENDS ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/rootkit_syslogd)
