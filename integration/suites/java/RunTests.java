import java.util.HashSet;
import java.util.Set;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs the JUnit 4 classes given and prints the Test Anything Protocol. */
public class RunTests extends RunListener {
  private final Set<Description> bad = new HashSet<>();
  private int number;

  public static void main(String[] names) throws Exception {
    JUnitCore core = new JUnitCore();
    core.addListener(new RunTests());
    for (String name : names) {
      core.run(Class.forName(name));
    }
    System.exit(0); // whatever threads a test has left behind
  }

  private void say(String what, Description test, String note) {
    System.out.println("\n" + what + " " + ++number + " - " + test.getClassName() + "." + test.getMethodName() + note);
  }

  @Override
  public void testFinished(Description test) {
    if (!bad.contains(test)) {
      say("ok", test, "");
    }
  }

  @Override
  public void testFailure(Failure failure) {
    if (bad.add(failure.getDescription())) {
      say("not ok", failure.getDescription(), "");
    }
    System.out.println(failure.getTrace().replaceAll("(?m)^", "# "));
  }

  @Override
  public void testAssumptionFailure(Failure failure) {
    if (bad.add(failure.getDescription())) {
      say("ok", failure.getDescription(), " # skip");
    }
  }

  @Override
  public void testIgnored(Description test) {
    say("ok", test, " # skip");
  }
}
