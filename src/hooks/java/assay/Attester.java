package assay;

import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.util.Arrays;

/**
 * Asks the attester to record code (docs/formats/runassay.md, measure).
 *
 * <p>What the owner's policy refuses is a {@link MustNotRun}, and so is what can't be measured under ASSAY_REQUIRED=1; else one
 * warning for a process says that something was not.
 */
final class Attester {
  /** Code that must not run. */
  static final class MustNotRun extends Exception {
    private static final long serialVersionUID = 1;

    private MustNotRun(String message) {
      super("assay: " + message);
    }
  }

  private static MustNotRun unmeasured(String what, String why) {
    return new MustNotRun(what + " can't be measured, and ASSAY_REQUIRED is set: " + why);
  }

  private static final File NODE = new File("/run/assay/measure");
  private static final int REFUSED = -1; // of ask()
  private static final int ENOENT = 2;
  private static final int EDQUOT = 122;
  /** The kernel stamps changes with a clock that ticks every 1 to 10 ms: two changes in one tick look like one. */
  private static final long TICK_MS = 11;

  private final boolean required = wanted("ASSAY_REQUIRED");
  private volatile boolean warned;

  static boolean wanted(String name) {
    String value = System.getenv(name);
    return value != null && !value.isEmpty() && !value.equals("0");
  }

  /** Whether an attester runs; if it must and does not, that is an error. */
  boolean runs() throws MustNotRun {
    if (!NODE.exists()) {
      if (required) {
        throw unmeasured("code", "no attester runs");
      }
      return false;
    }
    return true;
  }

  /** @param library the path of the native part, without which nothing but {@link #runs} can be called */
  static void load(String library) {
    System.load(library);
  }

  /** Says that this VM has its code measured. An attester of a former version does not know this request. */
  void announce() {
    ask("hook:java\n");
  }

  /** A descriptor that this process has open. */
  void descriptor(int fd, String what) throws MustNotRun {
    send("fd:" + fd, what);
  }

  /**
   * Records a regular file, and returns the bytes that were recorded, read from the same descriptor; what changes meanwhile is
   * recorded as a buffer.
   */
  byte[] file(File file) throws MustNotRun, IOException {
    try (FileInputStream in = new FileInputStream(file)) {
      int fd = number(in.getFD());
      long[] before = stamp(fd);
      boolean settled = settled(before);
      descriptor(fd, file.getPath());
      byte[] bytes = in.readAllBytes();
      if (!settled || !Arrays.equals(before, stamp(fd))) {
        buffer("java-class", bytes);
      }
      return bytes;
    }
  }

  /** Records a file that the VM reads by itself. */
  void whole(File file) throws MustNotRun {
    try (FileInputStream in = new FileInputStream(file)) {
      descriptor(number(in.getFD()), file.getPath());
    } catch (IOException error) {
      failed(file.getPath(), error.getMessage());
    }
  }

  /** Records what has no file. */
  void buffer(String what, byte[] bytes) throws MustNotRun {
    int fd = memfd(bytes);
    if (fd < 0) {
      failed(what, "errno " + -fd);
      return;
    }
    try {
      send("buffer:" + fd + ":" + what, what);
    } finally {
      close(fd);
    }
  }

  void failed(String what, String why) throws MustNotRun {
    if (required) {
      throw unmeasured(what, why);
    }
    if (!warned) {
      warned = true;
      System.err.println("assay: warning: " + what + " could not be measured (no more is said of others): " + why);
    }
  }

  /** Whether a later change would have another stamp. */
  static boolean settled(long[] stamp) {
    return System.currentTimeMillis() - stamp[3] / 1000000 > TICK_MS;
  }

  private void send(String request, String what) throws MustNotRun {
    int error = ask(request + "\n");
    if (error == REFUSED) {
      throw new MustNotRun("the owner's policy refuses " + what + ": it is not in the manifest");
    }
    if (error != 0) {
      failed(what, reason(error));
    }
  }

  private static String reason(int error) {
    switch (error) {
      case ENOENT:
        return "no attester runs";
      case EDQUOT:
        return "this user has used up its quota of records";
      default:
        return "errno " + error;
    }
  }

  private static native int ask(String request);

  static native int number(FileDescriptor descriptor);

  private static native int memfd(byte[] bytes);

  private static native void close(int fd);

  /** What tells a file and its content: device, inode, size, times of the last changes; null: not open. */
  static native long[] stamp(int fd);

  /** The options of the VM, wherever they were given. */
  static native String[] options();
}
