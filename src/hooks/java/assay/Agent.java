package assay;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.lang.instrument.ClassFileTransformer;
import java.lang.instrument.Instrumentation;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.CodeSource;
import java.security.ProtectionDomain;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Has code measured before this VM runs it: -javaagent:/usr/lib/assay/java/assay-agent.jar, or JAVA_TOOL_OPTIONS
 * (docs/interpreters.md, Java, says what is covered).
 *
 * <p>A class is measured by the jar or the file that it comes from, when it is about to be defined: the VM has read its bytes, and
 * defines it when this has returned.
 */
public final class Agent implements ClassFileTransformer {
  /** No class has this form: the VM refuses to define it. */
  private static final byte[] REFUSED = {0};

  /** Options whose value is a file, or a list of files, which the VM has read before this. */
  private static final String[] FILES = {
    "-Xbootclasspath/a:", "-javaagent:", "-XX:SharedArchiveFile=", "-XX:VMOptionsFile=", "-XX:Flags="
  };

  private final Attester attester;
  private final boolean generated = Attester.wanted("ASSAY_EVAL");
  private final Map<ClassLoader, Map<String, Jar>> loaders = Collections.synchronizedMap(new WeakHashMap<>());

  /** A jar that a loader has open, as it was when it was measured. */
  private static final class Jar {
    volatile int fd;
    volatile long[] stamp; // null: to be measured
  }

  private Agent(Attester attester) {
    this.attester = attester;
  }

  public static void premain(String arguments, Instrumentation instrumentation) throws Exception {
    try {
      Attester attester = new Attester();
      if (!attester.runs()) {
        return;
      }
      File jar = new File(Agent.class.getProtectionDomain().getCodeSource().getLocation().toURI());
      Attester.load(new File(jar.getParentFile(), "libassay-java.so").getPath());
      Agent agent = new Agent(attester);
      agent.readBefore();
      instrumentation.addTransformer(agent);
      attester.announce();
    } catch (Attester.MustNotRun error) {
      System.err.println(error.getMessage());
      Runtime.getRuntime().halt(1);
    }
  }

  /** What the VM has read before any Java code runs: the engine measured it where it could; this makes it complete. */
  private void readBefore() throws Exception {
    File home = new File(System.getProperty("java.home"));
    attester.whole(new File(home, "lib/modules"));
    boolean archive = true;
    for (String option : Attester.options()) {
      for (String prefix : FILES) {
        if (option.startsWith(prefix)) {
          String value = option.substring(prefix.length());
          files(prefix.equals("-javaagent:") && value.contains("=") ? value.substring(0, value.indexOf('=')) : value);
          archive &= !prefix.equals("-XX:SharedArchiveFile=");
        }
      }
      archive &= !option.equals("-Xshare:off");
      if (option.startsWith("--patch-module=")) { // MODULE=FILES
        files(option.substring(option.indexOf('=', "--patch-module=".length()) + 1));
      }
    }
    File shared = new File(home, "lib/server/classes.jsa");
    if (archive && shared.exists()) {
      attester.whole(shared);
    }
    // The launcher's own arguments: files with more of them, and a program that is one source file.
    String words;
    try (FileInputStream in = new FileInputStream("/proc/self/cmdline")) {
      words = new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
    for (String word : words.split("\0")) {
      if (word.startsWith("@") && !word.startsWith("@@")) {
        files(word.substring(1));
      }
    }
    String[] command = System.getProperty("sun.java.command", "").split(" ", 3);
    if (command.length > 1 && command[0].endsWith("com.sun.tools.javac.launcher.Main")) {
      files(command[1]);
    }
  }

  private void files(String list) throws Attester.MustNotRun {
    for (String name : list.split(File.pathSeparator)) {
      File file = new File(name);
      if (file.isFile()) {
        attester.whole(file);
      }
    }
  }

  @Override
  public byte[] transform(
      ClassLoader loader, String name, Class<?> redefined, ProtectionDomain domain, byte[] bytes) {
    if (loader == null && redefined == null) {
      return null; // of the modules file, or of what was added to it: measured at the start
    }
    try {
      try {
        measure(loader, name, redefined == null ? domain : null, bytes);
      } catch (IOException | RuntimeException error) {
        attester.failed("class " + name, error.toString());
      }
      return null;
    } catch (Attester.MustNotRun error) {
      System.err.println(error.getMessage());
      return REFUSED;
    }
  }

  private void measure(ClassLoader loader, String name, ProtectionDomain domain, byte[] bytes)
      throws Attester.MustNotRun, IOException {
    CodeSource source = domain == null ? null : domain.getCodeSource();
    if (source == null || source.getLocation() == null) {
      if (generated) {
        attester.buffer("java-class", bytes);
      }
      return;
    }
    String place = source.getLocation().toString();
    if (place.startsWith("jrt:")) {
      return;
    }
    Jar jar;
    Map<String, Jar> jars = loaders.get(loader);
    if (jars == null) {
      loaders.putIfAbsent(loader, new ConcurrentHashMap<>());
      jars = loaders.get(loader);
    }
    jar = jars.get(place);
    if (jar == null) {
      jars.putIfAbsent(place, new Jar());
      jar = jars.get(place);
    }
    if (jar.stamp != null && Arrays.equals(jar.stamp, Attester.stamp(jar.fd))) {
      return;
    }
    File file = file(place);
    if (file == null || name == null) {
      attester.buffer("java-class", bytes);
    } else if (file.isDirectory()) {
      File its = new File(file, name + ".class");
      if (!its.isFile() || !Arrays.equals(attester.file(its), bytes)) {
        attester.buffer("java-class", bytes);
      }
    } else {
      open(file.getCanonicalPath(), jar);
    }
  }

  /** Measures each descriptor that this VM has of the jar: what it reads classes from, whatever has the name by now. */
  private void open(String path, Jar jar) throws Attester.MustNotRun {
    int found = 0;
    String[] numbers = new File("/proc/self/fd").list();
    for (String number : numbers == null ? new String[0] : numbers) {
      String link;
      try {
        link = Files.readSymbolicLink(new File("/proc/self/fd/" + number).toPath()).toString();
      } catch (IOException error) {
        continue; // closed since
      }
      if (!link.equals(path) && !link.equals(path + " (deleted)")) {
        continue;
      }
      int fd = Integer.parseInt(number);
      long[] stamp = Attester.stamp(fd);
      boolean settled = stamp != null && Attester.settled(stamp);
      attester.descriptor(fd, path);
      jar.fd = fd;
      jar.stamp = ++found == 1 && settled ? stamp : null; // one of several: ask for all of them each time
    }
    if (found == 0) {
      attester.whole(new File(path));
    }
  }

  /** The file of a location, also of a jar within a jar; null: it has none. */
  private static File file(String place) {
    String url = place;
    while (url.startsWith("jar:") || url.startsWith("nested:")) {
      url = url.substring(url.indexOf(':') + 1);
    }
    int inner = url.indexOf('!');
    if (inner >= 0) {
      url = url.substring(0, url.charAt(inner - 1) == '/' ? inner - 1 : inner);
    }
    if (url.startsWith("/")) {
      return new File(url);
    }
    return url.startsWith("file:") ? new File(URI.create(url).getPath()) : null;
  }
}
