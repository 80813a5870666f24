-- For the PDF: block quotes that follow each other are one margin note, every equation carries its TeX source as
-- alternative text, and a heading with one paragraph under it goes to the next page with the figure or table that follows.
local function is_typst(block, pattern)
  return block.t == "RawBlock" and block.format == "typst" and block.text:match(pattern)
end

function Blocks(blocks)
  for i = #blocks, 2, -1 do
    if blocks[i].t == "BlockQuote" and blocks[i - 1].t == "BlockQuote" then
      blocks[i - 1].content:extend(blocks[i].content)
      blocks:remove(i)
    end
  end
  for i = #blocks - 2, 1, -1 do
    if blocks[i].t == "Header" and blocks[i + 1].t == "Para" then
      local last = i + 2
      while last <= #blocks and is_typst(blocks[last], "^#clear") or last <= #blocks and is_typst(blocks[last], "^#ends") do
        last = last + 1
      end
      if last <= #blocks and (is_typst(blocks[last], "^#chart") or is_typst(blocks[last], "^#records")) then
        for from = i + 2, last - 1 do  -- what makes room is asked for before the heading
          blocks:insert(from - 2, blocks:remove(from))
        end
        local para = last - 1
        blocks:insert(para + 1, pandoc.RawBlock("typst", "]"))
        blocks:insert(para, pandoc.RawBlock("typst", "#block(sticky: true, above: 8pt)["))
      end
    end
  end
  return blocks
end

function Math(equation)
  local typst = pandoc.write(pandoc.Pandoc({pandoc.Plain({equation})}), "typst"):gsub("%s+$", "")
  local source = equation.text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("%s+", " ")
  return pandoc.RawInline("typst", '#[#set math.equation(alt: "' .. source .. '")\n' .. typst .. "]")
end
