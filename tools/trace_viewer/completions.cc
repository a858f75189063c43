#include "completions.h"

namespace tierlib::trace_viewer {
namespace {

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// In single quotes of any of the shells.
std::string Quoted(const std::string& text, const char* quote_within) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += quote_within;
    } else {
      quoted += c;
    }
  }
  return quoted + '\'';
}
std::string ForFish(const std::string& text) { return Quoted(text, "\\'"); }

// A help text within zsh's "name[help]": brackets and colons mean something there.
std::string ForZsh(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string FunctionName(const std::string& program) {
  std::string name = "_" + program;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

std::string BashScript(const std::string& program, const std::vector<CompletedCommand>& commands) {
  std::string names;
  std::string options;
  std::string values;
  for (const CompletedCommand& command : commands) {
    names += (names.empty() ? "" : " ") + command.name;
    std::string all = "--help";
    for (const CompletedOption& option : command.options) {
      all += ' ' + Joined(option.names);
      if (option.choices.empty() && (!option.takes_value || option.names_file)) continue;
      std::string patterns;
      for (const std::string& name : option.names)
        patterns += (patterns.empty() ? "" : "|") + command.name + ':' + name;
      values +=
          "    " + patterns + ") COMPREPLY=($(compgen -W '" + Joined(option.choices) + "' -- \"$word\")); return ;;\n";
    }
    options += "    " + command.name + ") options='" + all + "' ;;\n";
    if (!command.choices.empty()) {
      values += "    " + command.name + ":*) COMPREPLY=($(compgen -W '" + Joined(command.choices) +
                "' -- \"$word\")); return ;;\n";
    }
  }
  const std::string function = FunctionName(program);
  return "# Completions of " + program + " for bash.\n" + function +
         "() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} "
         "options=\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
         "    COMPREPLY=($(compgen -W '" +
         names +
         " --help --version' -- \"$word\"))\n"
         "    return\n"
         "  fi\n"
         "  case $command in\n" +
         options +
         "    *) return ;;\n"
         "  esac\n"
         "  if [[ $word == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
         "    return\n"
         "  fi\n"
         "  case $command:$previous in\n" +
         values +
         "  esac\n"
         "  COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "}\n"
         "complete -o filenames -F " +
         function + ' ' + program + '\n';
}

std::string ZshScript(const std::string& program, const std::vector<CompletedCommand>& commands) {
  std::string text = "#compdef " + program + "\n# Completions of " + program + " for zsh.\n" + FunctionName(program) +
                     "() {\n  local -a commands\n  commands=(\n";
  for (const CompletedCommand& command : commands) {
    text += "    " + Quoted(command.name + ':' + ForZsh(command.help), "'\\''") + '\n';
  }
  text +=
      "  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n"
      "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $command in\n";
  for (const CompletedCommand& command : commands) {
    text += "    " + command.name + ")\n      _arguments \\\n";
    for (const CompletedOption& option : command.options) {
      for (const std::string& name : option.names) {
        std::string spec = "*" + name + '[' + ForZsh(option.help) + ']';
        if (!option.choices.empty()) {
          spec += ":value:(" + Joined(option.choices) + ')';
        } else if (option.takes_value) {
          spec += option.names_file ? ":file:_files" : ":value:";
        }
        text += "        " + Quoted(spec, "'\\''") + " \\\n";
      }
    }
    text += command.choices.empty() ? "        '*:file:_files'\n      ;;\n"
                                    : "        '*:value:(" + Joined(command.choices) + ")'\n      ;;\n";
  }
  return text + "  esac\n}\n" + FunctionName(program) + " \"$@\"\n";
}

std::string FishScript(const std::string& program, const std::vector<CompletedCommand>& commands) {
  std::string text = "# Completions of " + program + " for fish.\n";
  const std::string begin = "complete -c " + program;
  for (const CompletedCommand& command : commands) {
    text += begin + " -f -n __fish_use_subcommand -a " + command.name + " -d " + ForFish(command.help) + '\n';
  }
  for (const CompletedCommand& command : commands) {
    const std::string within = begin + " -n '__fish_seen_subcommand_from " + command.name + "'";
    for (const CompletedOption& option : command.options) {
      std::string line = within;
      for (const std::string& name : option.names) {
        line += name.size() == 2 ? " -s " + name.substr(1) : " -l " + name.substr(2);
      }
      if (!option.choices.empty()) {
        line += " -x -a " + ForFish(Joined(option.choices));
      } else if (option.takes_value) {
        line += option.names_file ? " -r -F" : " -x";
      }
      text += line + " -d " + ForFish(option.help) + '\n';
    }
    if (!command.choices.empty()) text += within + " -f -a " + ForFish(Joined(command.choices)) + '\n';
  }
  return text;
}

}  // namespace

std::string CompletionScript(const std::string& shell, const std::string& program,
                             const std::vector<CompletedCommand>& commands) {
  if (shell == "bash") return BashScript(program, commands);
  if (shell == "zsh") return ZshScript(program, commands);
  return FishScript(program, commands);
}

}  // namespace tierlib::trace_viewer
